// One server as the client sees it: a connection that is made when first
// needed and shared by all calls. Calls are pipelined: each is sent without
// waiting for the replies before it, and as replies come in the order of the
// requests, the first one waiting is the one answered.

package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = time.Second
	// silence is how long a server may owe replies without sending a byte. A
	// machine that hangs neither refuses nor resets: only this finds it.
	silence    = 2 * time.Second
	firstAside = 100 * time.Millisecond // how long to avoid a server after its first failure
	mostAside  = 5 * time.Second
)

// errRetired answers calls to a server that is no longer listed.
var errRetired = errors.New("no longer listed")

// A remote is one server, by address. It is safe for concurrent use.
type remote struct {
	addr     string
	failures atomic.Int32 // in a row
	aside    atomic.Int64 // avoid it until then, in Unix nanoseconds

	mu      sync.Mutex
	pipe    *pipe // nil: none yet, or it broke
	retired bool
}

// An outcome is what became of a call at one server.
type outcome struct {
	reply   Reply
	err     error
	written bool // the server may have got the request
}

// call sends a frame and waits for the reply.
func (r *remote) call(ctx context.Context, frame []byte) outcome {
	done := outcomes.Get().(chan outcome) // whoever answers doesn't wait for us
	r.mu.Lock()
	if r.retired {
		r.mu.Unlock()
		return outcome{err: errRetired}
	}
	if r.pipe == nil {
		r.pipe = newPipe(r)
	}
	r.pipe.send(frame, done)
	r.mu.Unlock()
	select {
	case o := <-done:
		outcomes.Put(done)
		return o
	case <-ctx.Done():
		return outcome{err: context.Cause(ctx), written: true} // the reply will be consumed in its place
	}
}

// broken takes a pipe out of use. One that had connected, and broke without
// anyone waiting, as when a server closes idle connections, says nothing
// against the server.
func (r *remote) broken(p *pipe, blame bool) {
	if blame {
		pause := min(firstAside<<min(r.failures.Add(1)-1, 10), mostAside)
		r.aside.Store(time.Now().Add(pause/2 + rand.N(pause/2)).UnixNano())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pipe == p {
		r.pipe = nil
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

// A pipe is one connection. Callers append to out; a writer goroutine sends
// what has gathered there since its last write, in one; a reader goroutine
// hands the replies to those who wait. A caller that finds nobody waiting sends
// itself what the kernel takes without waiting.
type pipe struct {
	remote *remote
	wake   chan struct{}   // holds one token when out has something
	ctx    context.Context // ends when the pipe breaks
	cancel context.CancelFunc

	mu      sync.Mutex
	conn    net.Conn      // nil while connecting
	direct  *directWriter // nil while connecting
	writing bool          // the writer may be waiting for the kernel
	out     []byte
	waiting []chan outcome // first in, first out
	unsent  int            // how many of those, at the end, are still in out
	since   time.Time      // of the last byte in, or of the first call to wait for one
	retired bool
	err     error // why it broke
}

func newPipe(r *remote) *pipe {
	p := &pipe{remote: r, wake: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go p.run()
	return p
}

// send queues a frame; its outcome will come to done.
func (p *pipe) send(frame []byte, done chan outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		done <- outcome{err: p.err}
		return
	}
	taken := 0
	if len(p.waiting) == 0 {
		p.since = time.Now()
		if p.direct != nil && !p.writing && len(p.out) == 0 { // a server may answer what has not left yet
			taken = p.direct.write(frame)
		}
	}
	if len(p.waiting) == cap(p.waiting) {
		p.waiting = slices.Grow(p.waiting, 64) // it moves through its memory: not a new one with every call
	}
	p.waiting = append(p.waiting, done)
	if taken == len(frame) {
		return
	}
	p.out = append(p.out, frame[taken:]...)
	if taken == 0 {
		p.unsent++
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
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
	p.conn, p.since, p.direct = conn, time.Now(), newDirectWriter(conn.(*net.TCPConn))
	p.mu.Unlock()
	go p.read(conn)
	var spare []byte
	for {
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			return
		}
		p.mu.Lock()
		if len(p.waiting) > 1 { // others are at work: who is about to call joins this write
			p.mu.Unlock()
			runtime.Gosched()
			p.mu.Lock()
		}
		select {
		case <-p.wake: // put there meanwhile, for what leaves now
		default:
		}
		out := p.out
		p.out, p.unsent, p.writing = spare[:0], 0, true
		p.mu.Unlock()
		_, err := conn.Write(out)
		if err != nil {
			p.fail(err)
			return
		}
		p.mu.Lock()
		p.writing = false
		p.mu.Unlock()
		if spare = out; cap(spare) > 64<<10 {
			spare = nil // one long request should not cost us its memory for ever
		}
	}
}

// read hands out replies until the pipe breaks.
func (p *pipe) read(conn net.Conn) {
	decoder := NewDecoder(MaxReply)
	buf := make([]byte, 16<<10)
	var deadline time.Time // it stays as it is until it is over: to move it with every reply costs more than that
	for n := 0; ; {
		if due := p.patience(n > 0); deadline.IsZero() {
			deadline = due
			_ = conn.SetReadDeadline(deadline)
		}
		var err error
		n, err = conn.Read(buf)
		for body, frameErr := range decoder.Frames(buf[:n]) {
			reply, parseErr := ParseReply(body)
			if err = errors.Join(frameErr, parseErr); err == nil {
				err = p.answer(reply)
			}
			if err != nil {
				break
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && p.patience(false).After(deadline) {
			deadline = time.Time{} // it was not owing us replies all that time
			continue
		}
		if err != nil {
			p.fail(fmt.Errorf("connection lost: %w", err))
			return
		}
	}
}

// patience returns until when the next byte must come, after one that came
// just now or earlier.
func (p *pipe) patience(now bool) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now || len(p.waiting) == 0 {
		p.since = time.Now()
	}
	return p.since.Add(silence)
}

// answer gives the reply to the call that has waited longest.
func (p *pipe) answer(reply Reply) error {
	p.remote.failures.Store(0)
	p.remote.aside.Store(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == p.unsent {
		return errors.New("a reply that nobody asked for")
	}
	p.waiting[0] <- outcome{reply: reply, written: true}
	p.waiting = p.waiting[1:]
	if p.retired && len(p.waiting) == 0 {
		return errRetired
	}
	return nil
}

// retire breaks the pipe as soon as nobody waits any more.
func (p *pipe) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired = true; len(p.waiting) == 0 {
		go p.fail(errRetired) // not here: the caller holds the remote's lock
	}
}

// fail breaks the pipe: everyone who waits is told.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	waiting, sent, connected := p.waiting, len(p.waiting)-p.unsent, p.conn != nil
	p.waiting, p.out, p.unsent = nil, nil, 0
	if p.err == nil {
		p.err = err
	}
	if p.conn != nil {
		if tcp, ok := p.conn.(*net.TCPConn); ok && len(waiting) > 0 {
			_ = tcp.SetLinger(0) // a reset tells a server that still computes: nobody waits for this
		}
		p.conn.Close()
	}
	p.mu.Unlock()
	p.cancel()
	p.remote.broken(p, len(waiting) > 0 || !connected) // before they try again
	for i, done := range waiting {
		done <- outcome{err: err, written: i < sent}
	}
}
