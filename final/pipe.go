// One connection to a server. Calls are pipelined: each is sent without waiting
// for the replies before it, and as replies come in the order of the requests,
// the first one sent is the one answered.

package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	dialTimeout = time.Second
	maxWrite    = 64 << 10 // bytes in one write, unless one frame alone is longer
	readSize    = 16 << 10 // bytes in one read, at most
	sentGrowth  = 64       // attempts: sent moves through its memory, and needs no new one with every call
)

var errAbandoned = errors.New("nobody waits for it any more")

// A pipe is one connection, from before it is made until it broke. A caller
// puts an attempt into queue. The writer, a goroutine, moves it to sent, and
// sends in one write what has gathered since its last. The reader, another,
// hands each reply to the first attempt in sent. A caller who is the client's
// only one sends itself what the kernel takes without waiting.
//
// It ends by breakOff, which tells everyone who waits. That is called
//
//   - by the reader and the writer, at an error;
//   - by retire, which is for a server that is no longer listed, if nobody
//     waits; if somebody does, by whoever finds that nobody does any more;
//   - by an attempt's drop, when nobody waits any more for a server that is
//     silent or no longer listed.
type pipe struct {
	remote  *remote
	options *ClientOptions
	wake    chan struct{}   // holds one token when there is something in queue
	ctx     context.Context // ends when the pipe breaks
	cancel  context.CancelFunc

	mu     sync.Mutex
	conn   net.Conn      // nil while connecting
	direct *directWriter // nil while connecting, and if it is no plain TCP connection
	err    error         // why it broke; nil: it didn't

	// An attempt is in queue, or in sent, or has left the pipe. Both are in the
	// order of the calls. Of those in queue nothing has been written. All in
	// sent may have been written, and the server owes their replies.
	queue   []*attempt
	sent    []*attempt
	bytes   uint64 // in all frames that were ever moved to sent
	waiting int    // attempts in queue and sent whose callers wait

	// Only one writes at a time: the writer, or a caller when there is no rest.
	writing bool   // the writer may be waiting for the kernel
	rest    []byte // of the last frame in sent: the kernel had no room for it

	// When the server is silent, or no longer listed, the pipe ends as soon as
	// nobody waits.
	silent  bool // remote.silent says the same, without a lock
	retired bool

	// Whether the server makes progress, which silence.go finds out. All but
	// deadlineSet are the reader's alone.
	deadlineSet bool   // the reader will wake up for a look
	now         int64  // when the last bytes came, by clock
	moved       bool   // there was progress since the last look
	received    int    // bytes since the last progress
	acked       uint64 // bytes acknowledged at the last look with progress
	quiet       int    // looks without progress, in a row
}

// newPipe returns a pipe to be run.
func newPipe(r *remote) *pipe {
	p := &pipe{remote: r, options: cmp.Or(r.options, &ClientOptions{}), wake: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// send puts an attempt into the queue, or refuses it.
func (p *pipe) send(a *attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()

	switch {
	case p.err != nil:
		a.end(outcome{err: p.err})
		return
	case p.silent:
		a.end(outcome{err: errSilent})
		return
	}

	p.waiting++
	p.remote.outstanding.Add(1)
	if p.conn != nil && !p.deadlineSet {
		p.scheduleLook()
	}

	if p.sendNow(a) {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// sendNow writes as much of the attempt's frame as the kernel takes, if nothing
// else is under way, here or at another server: frames are better gathered
// then. It puts the attempt where it belongs, and reports whether there is
// nothing left to write. The caller must hold p.mu.
func (p *pipe) sendNow(a *attempt) (isDone bool) {
	taken := 0
	isFree := len(p.queue)+len(p.sent)+len(p.rest) == 0 && !p.writing // a server may answer what has not left yet
	if p.direct != nil && isFree && !p.remote.isShared() {
		taken = p.direct.write(a.frame)
	}
	if taken == 0 {
		p.queue = append(p.queue, a)
		return false
	}

	p.rest = append(p.rest, a.frame[taken:]...)
	p.moveToSent(a)
	return len(p.rest) == 0
}

// moveToSent notes that an attempt's frame is on its way. The caller must hold
// p.mu, and take the attempt out of the queue.
func (p *pipe) moveToSent(a *attempt) {
	p.bytes += uint64(len(a.frame))
	a.frameEnd = p.bytes
	a.frame = nil

	if len(p.sent) == cap(p.sent) {
		p.sent = slices.Grow(p.sent, sentGrowth)
	}
	p.sent = append(p.sent, a)
}

// leave notes that an attempt's caller has left. An attempt that was not
// written is taken back. Another keeps its place, because its reply still
// comes. It reports whether this has left the pipe without use to anybody: then
// the caller of leave must break it off.
func (p *pipe) leave(a *attempt) (isAbandoned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if a.caller != callerWaits {
		return false
	}
	a.caller = callerLeft
	p.waiting--

	at := slices.Index(p.queue, a)
	if at >= 0 {
		p.queue = slices.Delete(p.queue, at, at+1)
		p.remote.outstanding.Add(-1)
		p.remote.changed()
	}
	return p.isAbandoned()
}

// isAbandoned reports whether the pipe is of no use to anybody. The caller must
// hold p.mu.
func (p *pipe) isAbandoned() bool {
	return p.waiting == 0 && (p.silent || p.retired)
}

// run connects, and then writes until the pipe breaks.
func (p *pipe) run() {
	conn, err := p.options.dial(p.ctx, p.remote.addr)
	if err != nil {
		p.breakOff(err)
		return
	}
	defer conn.Close()

	p.mu.Lock()
	p.conn = conn
	tcp, ok := conn.(*net.TCPConn)
	if ok {
		p.direct = newDirectWriter(tcp)
	}
	p.scheduleLook()
	p.mu.Unlock()

	go p.read(conn)
	p.write(conn)
}

// write sends what comes into the queue until the pipe breaks.
func (p *pipe) write(conn net.Conn) {
	var frames []byte
	for {
		frames = p.take(frames[:0])
		if len(frames) == 0 {
			select {
			case <-p.wake:
				if p.remote.isShared() {
					runtime.Gosched() // others are at work: who is about to call joins this write
				}
				continue
			case <-p.ctx.Done():
				return
			}
		}

		_, err := conn.Write(frames)
		if err != nil {
			p.breakOff(err)
			return
		}
		if cap(frames) > 2*maxWrite {
			frames = nil // one long request should not cost us its memory forever
		}
	}
}

// take moves attempts from queue to sent, as many as fit into one write, and
// returns what is to be written, appended to dst. With nothing the writer
// rests.
func (p *pipe) take(dst []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()

	dst = append(dst, p.rest...)
	p.rest = nil

	n := 0
	for n < len(p.queue) && (len(dst) == 0 || len(dst)+len(p.queue[n].frame) <= maxWrite) {
		dst = append(dst, p.queue[n].frame...)
		p.moveToSent(p.queue[n])
		n++
	}

	p.queue = slices.Delete(p.queue, 0, n) // moves the rest to the front: its memory is used again
	p.writing = len(dst) > 0
	return dst
}

// read hands out replies, and looks whether there is progress, until the pipe
// breaks.
func (p *pipe) read(conn net.Conn) {
	decoder := NewDecoder(MaxReply)
	buf := make([]byte, readSize)

	for {
		n, err := conn.Read(buf)
		switch {
		case n > 0:
			p.now = clock() // once for all replies in there
			p.received += n
			err = p.answerAll(decoder, buf[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = p.look()
		}

		if err != nil {
			p.breakOff(fmt.Errorf("connection lost: %w", err))
			return
		}
	}
}

// answerAll hands out the replies that end in a chunk.
func (p *pipe) answerAll(decoder *Decoder, chunk []byte) error {
	decoder.Feed(chunk)
	for {
		body, ok := decoder.Next()
		if !ok {
			return decoder.Err()
		}
		err := p.answer(body)
		if err != nil {
			return err
		}
	}
}

// answer gives a reply to the attempt that was sent first.
func (p *pipe) answer(body []byte) error {
	reply, err := ParseReply(body)
	if err != nil {
		return err
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	if len(p.sent) == 0 {
		return errors.New("a reply that nobody asked for")
	}
	a := p.sent[0]
	p.sent[0] = nil
	p.sent = p.sent[1:]
	p.remote.standing.adapt(p.remote.outstanding.Add(-1)+1, time.Duration(p.now-a.began))

	p.remote.praise()
	p.remote.lively.Store(p.now)
	p.progress()
	p.settle(a, outcome{reply: reply, written: true}) // its caller may use the attempt again now
	p.remote.answered()
	if p.isAbandoned() {
		return errRetired // progress has just ended a silence
	}
	return nil
}

// settle gives an attempt's caller the final outcome, unless that caller has
// left. The caller of settle must hold p.mu.
func (p *pipe) settle(a *attempt, o outcome) {
	if a.caller == callerWaits {
		p.waiting--
		a.end(o)
	}
}

// retire breaks the pipe as soon as nobody waits any more.
func (p *pipe) retire() {
	p.mu.Lock()
	p.retired = true
	isAbandoned := p.isAbandoned()
	p.mu.Unlock()

	if isAbandoned {
		p.breakOff(errRetired)
	}
}

// breakOff ends the pipe and tells everyone who waits. First the server forgets
// the pipe: callers who are told try again at once, and must be given another.
// It may be called more than once; the first call counts.
func (p *pipe) breakOff(err error) {
	queue, sent, isFirst := p.shut(err)
	if !isFirst {
		return
	}
	p.remote.forget(p)

	p.mu.Lock()
	defer p.mu.Unlock()

	var long *FrameTooLongError
	isTooLong := errors.As(err, &long) // the reply that was to come next
	for _, a := range sent {
		p.settle(a, outcome{err: err, written: true, tooLong: isTooLong})
		isTooLong = false
	}
	for _, a := range queue {
		p.settle(a, outcome{err: err})
	}
}

// shut closes the connection and takes all attempts out. It sets a listed
// server aside if it owed replies, was silent, or could not be connected to.
// That an idle connection ends says nothing against the server.
func (p *pipe) shut(err error) (queue, sent []*attempt, isFirst bool) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.err != nil {
		return nil, nil, false
	}
	p.err = err

	queue, sent = p.queue, p.sent
	p.queue, p.sent = nil, nil
	p.remote.outstanding.Add(-int32(len(queue) + len(sent)))
	hasFailed := len(queue)+len(sent) > 0 || p.silent || p.conn == nil
	if hasFailed && !p.retired {
		p.remote.blame()
	}

	if p.conn != nil {
		tcp, ok := p.conn.(*net.TCPConn)
		if ok && len(sent) > 0 {
			_ = tcp.SetLinger(0) // a reset tells a server that still computes: nobody waits for this
		}
		p.conn.Close()
	}
	p.cancel() // not before: the writer closes the connection as it ends, and would do so without a reset
	return queue, sent, true
}
