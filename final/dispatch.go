// Dispatch: each call goes where its method runs. A Func answers in the loop,
// what Handle has made on a goroutine of its own, and a TaskMethod in the loop,
// in short steps, one a turn, so that the other connections of the worker are
// served in between.
//
// Whose step is next decides when everyone is answered. If all took turns, all
// would be answered last: a dozen computations of 0.3 s each after 3.6 s, and
// under load later than anybody waits. So the oldest come first. But a short
// computation should not wait for the long ones that came before it: every
// second turn belongs to those that have hardly begun.

//go:build unix

package rpc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// freshSteps is how many steps a computation has before it is a long one:
	// about 10 ms of work. Steps are counted, not time, which also passes while
	// the worker waits for a processor.
	freshSteps = 32

	// maxAbreast is how many of the long computations take turns. If it were 1,
	// a computation without end would keep all others waiting forever; the more
	// it is, the later the oldest ones are done.
	maxAbreast = 2
)

// errInternal is all that a stranger learns of a panic.
var errInternal = errors.New("internal error")

// A dispatcher answers calls on one loop. It belongs to the loop's goroutine.
type dispatcher struct {
	loop    *Loop
	service Service
	base    context.Context // of the contexts of calls; it ends when all are given up

	// The computations under way, each list with the oldest first. A connection
	// has at most one, because it waits for one reply at a time.
	fresh []*job // those that have had less than freshSteps
	long  []*job // all others

	posted bool          // turn will be called
	turns  int           // how often turn has been called
	spent  time.Duration // on first steps since turn was called last
}

// A job is a computation under way.
type job struct {
	conn   *Conn
	step   Task
	steps  int  // how many it has had
	isLong bool // it is in the list of the long ones
}

// newDispatcher returns a dispatcher of calls to the service.
func newDispatcher(base context.Context, loop *Loop, service Service) *dispatcher {
	return &dispatcher{loop: loop, service: service, base: base}
}

// handle is a Handler.
func (d *dispatcher) handle(c *Conn, body []byte) {
	req, err := readRequest(body)
	if err != nil {
		c.Reply(ErrorReply(err))
		return
	}
	method, err := d.service.method(req)
	if err != nil {
		c.Reply(ErrorReply(err))
		return
	}

	f, ok := method.(Func)
	if ok {
		c.Reply(f.answer(d.base, req))
		return
	}

	// What lasts longer should not keep all that came with the request.
	req.Params = bytes.Clone(req.Params)
	task, ok := method.(TaskMethod)
	if ok {
		d.compute(c, req, task)
	} else {
		d.runBeside(c, req, method)
	}
}

// runBeside starts a goroutine that answers a call. When the connection closes
// before it has, Reply does nothing.
func (d *dispatcher) runBeside(c *Conn, req Request, method Method) {
	ctx, cancel := context.WithCancel(context.WithValue(d.base, peerKey{}, c.peer()))
	c.cancel = cancel

	go func() {
		reply := ErrorReply(errInternal) // stays if the method panics, or calls runtime.Goexit
		finish := func() {
			c.cancel = nil
			c.Reply(reply)
		}
		defer func() {
			if p := recover(); p != nil {
				slog.Error("a method panicked", "method", req.Method, "panic", p, "stack", string(debug.Stack()))
			}
			cancel()
			d.loop.Post(finish)
		}()

		reply = method.answer(ctx, req)
	}()
}

// peer returns the address of the other side, zero if it has none.
func (c *Conn) peer() netip.AddrPort {
	name, err := unix.Getpeername(c.fd)
	if err != nil {
		return netip.AddrPort{}
	}

	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), uint16(name.Port))
	}
	return netip.AddrPort{}
}

// compute begins a task, and does its first step at once if there is time.
func (d *dispatcher) compute(c *Conn, req Request, method TaskMethod) {
	step, err := method(req.Params)
	if err != nil {
		c.Reply(failure(req, err))
		return
	}
	j := job{conn: c, step: step}

	// But a chunk may hold hundreds of short computations: when they have used
	// up the time of a step, they queue.
	if d.spent < stepTime {
		began := time.Now()
		reply, done := j.run()
		d.spent += time.Since(began)
		if done {
			c.Reply(reply)
			return
		}
	}

	queued := j // a copy, so that only what queues is allocated: most are done at once
	d.fresh = append(d.fresh, &queued)
	d.post()
}

// post arranges for turn to be called in the loop's next turn, once, if there
// is work.
func (d *dispatcher) post() {
	if !d.posted && len(d.fresh)+len(d.long) > 0 {
		d.posted = true
		d.loop.Post(d.turn)
	}
}

// turn does one step of one task. It posts itself for the loop's next turn, so
// the loop looks at its descriptors between any two steps without sleeping.
func (d *dispatcher) turn() {
	d.posted, d.spent = false, 0
	d.turns++
	j := d.next()
	if j == nil {
		return // the callers who waited for a computation have left
	}

	reply, done := j.run()
	switch {
	case done:
		d.remove(j.conn)
		j.conn.Reply(reply) // which may bring the next task in
	case j.steps >= freshSteps && !j.isLong:
		d.remove(j.conn)
		j.isLong = true
		d.long = append(d.long, j)
	}

	d.post()
}

// next returns the job that does the next step, or nil if there is none. Even
// turns are for fresh ones, odd turns for the maxAbreast oldest long ones, one
// after the other; if there are none of a kind, the other has all turns.
func (d *dispatcher) next() *job {
	odd := d.turns%2 == 1
	switch {
	case len(d.long) > 0 && (odd || len(d.fresh) == 0):
		abreast := min(len(d.long), maxAbreast)
		return d.long[(d.turns/2)%abreast]
	case len(d.fresh) > 0:
		return d.fresh[0]
	}
	return nil
}

// drop ends what is under way for a connection that is closed now. That happens
// when the caller resets it; one that ends its side may only have closed the
// sending side, and is still answered.
func (d *dispatcher) drop(c *Conn) {
	if c.cancel != nil {
		c.cancel()
	}
	d.remove(c)
}

// remove takes a connection's job out of its list, if it has one.
func (d *dispatcher) remove(c *Conn) {
	isOfConn := func(j *job) bool { return j.conn == c }
	d.fresh = slices.DeleteFunc(d.fresh, isOfConn)
	d.long = slices.DeleteFunc(d.long, isOfConn)
}

// run does a step. A panic in it costs that call only.
func (j *job) run() (reply Reply, done bool) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("a task panicked", "panic", p, "stack", string(debug.Stack()))
			reply, done = ErrorReply(errInternal), true
		}
	}()
	j.steps++
	return j.step()
}
