// One server as the client sees it: a connection that is made when first
// needed and shared by all calls. Calls are pipelined: each is sent without
// waiting for the replies before it, and as replies come in the order of the
// requests, the first one sent is the one answered.

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = time.Second

	// silence is about how long a server may owe replies without any progress. A
	// machine that hangs neither refuses nor resets: only this finds it.
	silence = 2 * time.Second
	// looks is in how many looks we count that. A client that was itself stopped
	// for a while has not looked, and blames nobody.
	looks        = 8
	lookInterval = silence / looks
	// minProgress is how much of a long message must arrive meanwhile, in bytes.
	minProgress = 4 << 10

	firstAside = 100 * time.Millisecond // how long to avoid a server after its first failure
	maxAside   = 5 * time.Second

	maxOutstanding = 1024     // calls on one connection
	maxWrite       = 64 << 10 // bytes in one write, unless one frame alone is longer
)

var (
	errRetired   = errors.New("no longer listed")
	errSilent    = errors.New("the server is silent")
	errAbandoned = errors.New("nobody waits for it any more")
)

// A remote is one server, by address. It is safe for concurrent use.
type remote struct {
	addr string

	// Whether it is a good choice for a new call, which is asked without a lock.
	silent      atomic.Bool  // its connection is
	outstanding atomic.Int32 // calls that it has not answered, abandoned ones too
	failures    atomic.Int32 // since it was last good for a while
	failed      atomic.Int64 // when it last did, by clock
	aside       atomic.Int64 // leave it alone until then, by clock; 0: trust it
	lively      atomic.Int64 // when it was last seen to make progress, by clock

	mu      sync.Mutex
	pipe    *pipe // nil: none yet, or it broke
	retired bool
}

// An attempt is one call at one server.
type attempt struct {
	remote   *remote
	pipe     *pipe  // nil: it was refused at once
	frame    []byte // its caller's; nil when it is written
	outcomes chan<- outcome

	// What follows is guarded by the pipe's lock.
	end     uint64 // where in the stream of what we send its frame ends
	told    bool   // that the server is silent
	tooLong bool   // its reply
	ended   bool   // it has its outcome
	dropped bool   // nobody waits any more
}

// An outcome is what became of an attempt.
type outcome struct {
	attempt *attempt
	reply   Reply
	err     error
	written bool // the server may have got the request
	tooLong bool // its reply was, so that another server's may be, too
	silent  bool // none yet, but the server is silent: another comes if it speaks again
}

// epoch is when the clock stood at 0: so long ago that nothing can have happened
// at that time.
var epoch = time.Now().Add(-time.Hour)

// clock is the time in nanoseconds, counted so that setting the machine's clock
// doesn't matter.
func clock() int64 { return int64(time.Since(epoch)) }

// claim reports whether a new call may go to this server, and then it must. One
// that has failed is tried by one call at a time; the others learn from that.
func (r *remote) claim() bool {
	if r.silent.Load() || r.outstanding.Load() >= maxOutstanding {
		return false
	}

	aside := r.aside.Load()
	if aside == 0 {
		return true
	}
	now := clock()
	return aside <= now && r.aside.CompareAndSwap(aside, now+r.pause())
}

// pause returns for how long to leave the server alone after its last failure,
// in nanoseconds. It is partly left to chance: a thousand clients must not come
// back together.
func (r *remote) pause() int64 {
	doublings := max(0, min(r.failures.Load()-1, 10))
	pause := min(firstAside<<doublings, maxAside)
	return int64(pause/2 + rand.N(pause/2))
}

// start sends a call to the server, without waiting. The frame must stay as it
// is until the attempt has ended or is dropped. Outcomes must have room for two:
// perhaps a silent one, and one more.
func (r *remote) start(frame []byte, outcomes chan<- outcome) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &attempt{remote: r, frame: frame, outcomes: outcomes}
	if r.retired {
		outcomes <- outcome{attempt: a, err: errRetired}
		return a
	}

	if r.pipe == nil {
		r.pipe = newPipe(r)
	}
	a.pipe = r.pipe
	r.pipe.send(a)
	return a
}

// broken takes a pipe out of use, and blames the server for it or not: that a
// connection ends which owes nothing, as when a server closes idle ones, says
// nothing against the server.
func (r *remote) broken(p *pipe, blame bool) {
	if blame {
		r.failures.Add(1)
		r.failed.Store(clock())
		r.aside.Store(clock() + r.pause())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pipe == p {
		r.pipe = nil
		r.silent.Store(false)
	}
}

// works notes that the server has answered. Its failures are forgotten when it
// has been good for a while: one that answers now and then should be avoided for
// longer and longer.
func (r *remote) works() {
	if r.failures.Load() == 0 {
		return
	}
	r.aside.Store(0)
	if clock()-r.failed.Load() > int64(maxAside) {
		r.failures.Store(0)
	}
}

// retire takes no more calls, and closes when those in flight are answered.
func (r *remote) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retired = true
	if r.pipe != nil {
		r.pipe.retire()
	}
}

// A pipe is one connection. Callers put attempts into queue; a writer goroutine
// moves them to sent and sends what has gathered since its last write, in one; a
// reader goroutine hands each reply to the first attempt in sent.
type pipe struct {
	remote *remote
	wake   chan struct{}   // holds one token when there is something in queue
	ctx    context.Context // ends when the pipe breaks
	cancel context.CancelFunc

	// The reader's, to tell whether the server makes progress.
	moved    bool   // there was progress since the last look
	received int    // bytes since the last progress
	acked    uint64 // acknowledged at the last look with progress
	quiet    int    // looks without it, in a row

	mu   sync.Mutex
	conn net.Conn // nil while connecting
	err  error    // why it broke

	// An attempt is in one of these, in the order of the calls, or has ended.
	queue []*attempt // nothing of them has been written: they may be taken back
	sent  []*attempt // the server owes their replies
	bytes uint64     // in all frames that were ever sent

	waiting int  // attempts in queue and sent that were not dropped
	looking bool // the reader will wake up for a look
	silent  bool // the server owes replies, and there has been no progress for too long
	retired bool
}

func newPipe(r *remote) *pipe {
	p := &pipe{remote: r, wake: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go p.run()
	return p
}

// send puts an attempt into the queue.
func (p *pipe) send(a *attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
		a.outcomes <- outcome{attempt: a, err: p.err}
		return
	case p.silent:
		a.outcomes <- outcome{attempt: a, err: errSilent}
		return
	}

	p.queue = append(p.queue, a)
	p.waiting++
	p.remote.outstanding.Add(1)
	if p.conn != nil && !p.looking {
		p.lookLater()
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// drop tells that nobody waits for the attempt any more. One that was not
// written is taken back. Another keeps its place, because its reply still comes;
// but a connection on which nothing moves, and for which nobody waits, is reset:
// then the server forgets what it owes.
func (a *attempt) drop() {
	p := a.pipe
	if p == nil {
		return
	}
	p.mu.Lock()
	if a.ended || a.dropped {
		p.mu.Unlock()
		return
	}
	a.dropped = true
	p.waiting--
	if at := slices.Index(p.queue, a); at >= 0 {
		p.queue = slices.Delete(p.queue, at, at+1)
		p.remote.outstanding.Add(-1)
	}
	abandoned := p.isAbandoned()
	p.mu.Unlock()

	if abandoned {
		p.fail(errAbandoned)
	}
}

// isAbandoned reports whether the connection is of no use to anybody. The
// caller holds the lock.
func (p *pipe) isAbandoned() bool {
	return p.waiting == 0 && (p.silent || p.retired)
}

// run connects, and then writes until the pipe breaks.
func (p *pipe) run() {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(p.ctx, "tcp", p.remote.addr)
	if err != nil {
		p.fail(err)
		return
	}
	defer conn.Close()

	p.mu.Lock()
	p.conn = conn
	p.lookLater()
	p.mu.Unlock()
	go p.read(conn)

	var frames []byte
	for {
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return
		}

		for {
			frames = p.take(frames[:0])
			if len(frames) == 0 {
				break
			}
			_, err := conn.Write(frames)
			if err != nil {
				p.fail(err)
				return
			}
			if cap(frames) > 2*maxWrite {
				frames = nil // one long request should not cost us its memory for ever
			}
		}
	}
}

// take moves attempts from queue to sent, as many as fit into one write, and
// returns their frames, appended to dst.
func (p *pipe) take(dst []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.queue) && (n == 0 || len(dst)+len(p.queue[n].frame) <= maxWrite) {
		a := p.queue[n]
		dst = append(dst, a.frame...)
		p.bytes += uint64(len(a.frame))
		a.end = p.bytes
		a.frame = nil
		n++
	}
	p.sent = append(p.sent, p.queue[:n]...)
	p.queue = slices.Delete(p.queue, 0, n)
	return dst
}

// read hands out replies until the pipe breaks.
func (p *pipe) read(conn net.Conn) {
	decoder := NewDecoder(MaxReply)
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		p.received += n
		decoder.Feed(buf[:n])
		for {
			body, ok := decoder.Next()
			if !ok && decoder.Err() == nil {
				break
			}
			err = p.answer(body, decoder.Err())
			if err != nil {
				break
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = p.look()
		}
		if err != nil {
			p.fail(fmt.Errorf("connection lost: %w", err))
			return
		}
	}
}

// answer gives the next reply, in body or else an error about its length, to the
// attempt that was sent first.
func (p *pipe) answer(body []byte, err error) error {
	var reply Reply
	if err == nil {
		reply, err = ParseReply(body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		return errors.New("a reply that nobody asked for")
	}
	a := p.sent[0]
	if err != nil {
		var long *FrameTooLongError
		a.tooLong = errors.As(err, &long)
		return err
	}

	p.remote.works()
	p.sent[0] = nil
	p.sent = p.sent[1:]
	p.remote.outstanding.Add(-1)
	if !a.dropped {
		p.end(outcome{attempt: a, reply: reply, written: true})
	}

	p.progress()
	if p.isAbandoned() {
		return errRetired
	}
	return nil
}

// end tells those who wait for an attempt what became of it. The caller holds
// the lock.
func (p *pipe) end(o outcome) {
	o.attempt.ended = true
	p.waiting--
	o.attempt.outcomes <- o
}

// lookLater has the reader wake up some time from now. The caller holds the
// lock.
func (p *pipe) lookLater() {
	p.looking = true
	_ = p.conn.SetReadDeadline(time.Now().Add(lookInterval))
}

// look finds out whether the server is silent: it owes replies, and for a number
// of looks no whole reply came, nor much of a long one, and nothing of the
// request that it is to answer next arrived there. Then attempts that were not
// written move, and those that were may go elsewhere, too. But nothing is thrown
// away that could still be answered.
func (p *pipe) look() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent)+len(p.queue) == 0 {
		p.looking, p.moved, p.quiet = false, false, 0
		return p.conn.SetReadDeadline(time.Time{})
	}
	p.lookLater()

	acked := acknowledged(p.conn)
	isLeaving := len(p.sent) > 0 && p.sent[0].end > p.acked
	if p.received >= minProgress || isLeaving && acked >= p.acked+minProgress {
		p.progress()
	}
	if p.moved {
		p.moved, p.quiet, p.acked = false, 0, acked
		p.remote.lively.Store(clock())
		return nil
	}
	p.quiet++
	if p.quiet <= looks {
		return nil
	}

	p.silent = true
	p.remote.silent.Store(true)
	for _, a := range p.queue {
		p.remote.outstanding.Add(-1)
		p.end(outcome{attempt: a, err: errSilent})
	}
	p.queue = nil
	for _, a := range p.sent {
		if !a.told && !a.dropped {
			a.told = true
			a.outcomes <- outcome{attempt: a, written: true, silent: true}
		}
	}
	if p.isAbandoned() {
		return errAbandoned
	}
	return nil
}

// progress notes that the server is not silent. The caller holds the lock.
func (p *pipe) progress() {
	p.moved, p.received = true, 0
	if p.silent {
		p.silent = false
		p.remote.silent.Store(false)
	}
}

// retire breaks the pipe as soon as nobody waits any more.
func (p *pipe) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = true
	if p.isAbandoned() {
		go p.fail(errRetired) // not here: the caller holds the remote's lock
	}
}

// fail breaks the pipe: everyone who waits is told.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	if p.err != nil {
		p.mu.Unlock()
		return
	}
	p.err = err
	queue, sent := p.queue, p.sent
	p.queue, p.sent = nil, nil
	p.remote.outstanding.Add(-int32(len(queue) + len(sent)))
	blame := len(queue)+len(sent) > 0 || p.silent || p.conn == nil
	if p.conn != nil {
		tcp, ok := p.conn.(*net.TCPConn)
		if ok && len(sent) > 0 {
			_ = tcp.SetLinger(0) // a reset tells a server that still computes: nobody waits for this
		}
		p.conn.Close()
	}
	p.mu.Unlock()

	p.cancel()
	p.remote.broken(p, blame) // before they try again
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, a := range append(sent, queue...) {
		if !a.dropped {
			p.end(outcome{attempt: a, err: err, written: i < len(sent), tooLong: a.tooLong})
		}
	}
}
