// Dispatch: each call goes where its method runs. A Func answers in the loop,
// what Handle has made on a goroutine of its own, and a TaskMethod in the loop,
// in short steps, one a turn, so that the other connections of the worker are
// served in between. (A task whose caller has reset the connection is not
// called again. One that closed it may have closed its sending side only.)
//
// Whose step is next decides when everyone is answered. If all took turns, all
// would be answered last: a dozen computations of 0.3 s each after 3.6 s, and
// under load later than anybody waits. So the oldest come first. But a short
// computation should not wait for the long ones that came before it: every
// second turn belongs to those that have hardly begun.

//go:build unix

package rpc

import (
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
	// about 10 ms of work. They are counted, because time also passes for one
	// that has to wait for a processor.
	freshSteps = 32

	// maxAbreast is how many of the long ones take turns. With one, a
	// computation without end would keep all others waiting for ever; each
	// more lets the first ones wait for the later.
	maxAbreast = 2
)

// errInternal is all that a stranger learns of a panic.
var errInternal = errors.New("internal error")

// A dispatcher answers calls on one loop. It belongs to the loop's goroutine.
type dispatcher struct {
	loop    *Loop
	service Service
	base    context.Context // of the contexts of calls; it ends when all are given up

	// The computations under way, each list with the oldest first. There are no
	// more of them than connections, each of which waits for one reply.
	fresh []job // that have had less than freshSteps
	long  []job // all others

	posted bool          // turn will be called
	turns  int           // how often it was
	spent  time.Duration // on first steps since then
}

// A job is a computation under way.
type job struct {
	conn  *Conn
	step  Task
	steps int // that it has had
}

// newDispatcher returns a dispatcher of calls to the service.
func newDispatcher(base context.Context, loop *Loop, service Service) *dispatcher {
	return &dispatcher{loop: loop, service: service, base: base}
}

// handle is a Handler.
func (d *dispatcher) handle(c *Conn, body []byte) {
	req, err := ParseRequest(body)
	if err != nil {
		c.Reply(ErrorReply(err))
		return
	}
	method, err := d.service.method(req)
	if err != nil {
		c.Reply(ErrorReply(err))
		return
	}

	switch method := method.(type) {
	case Func:
		c.Reply(method.answer(d.base, req))
	case TaskMethod:
		d.compute(c, req, method)
	default:
		d.runBeside(c, req, method)
	}
}

// runBeside has a call answered on another goroutine. When the connection has
// closed meanwhile, Reply does nothing.
func (d *dispatcher) runBeside(c *Conn, req Request, method Method) {
	ctx, cancel := context.WithCancel(context.WithValue(d.base, peerKey{}, c.peer()))
	c.cancel = cancel

	go func() {
		reply := ErrorReply(errInternal) // unless it answers: it may also end its goroutine
		defer func() {
			if p := recover(); p != nil {
				slog.Error("a method panicked", "method", req.Method, "panic", p, "stack", string(debug.Stack()))
			}
			cancel()
			d.loop.Post(func() {
				c.cancel = nil
				c.Reply(reply)
			})
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

	// Most computations are short, and done at once. But a chunk may hold
	// hundreds of them: when they have used up the time of a step, they queue.
	if d.spent < stepTime {
		began := time.Now()
		reply, done := j.run()
		d.spent += time.Since(began)
		if done {
			c.Reply(reply)
			return
		}
	}

	d.fresh = append(d.fresh, j)
	d.post()
}

// post has turn called in the loop's next turn, once, if there is work.
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
	jobs, i := d.next()
	if jobs == nil {
		return // who was there has left
	}

	j := &(*jobs)[i]
	conn := j.conn
	reply, done := j.run()

	switch {
	case done:
		*jobs = slices.Delete(*jobs, i, i+1)
		conn.Reply(reply) // which may bring the next task in
	case jobs == &d.fresh && j.steps >= freshSteps:
		d.long = append(d.long, *j)
		d.fresh = slices.Delete(d.fresh, i, i+1)
	}

	d.post()
}

// next says who does the next step, jobs[i], if there is anybody.
func (d *dispatcher) next() (jobs *[]job, i int) {
	switch {
	case len(d.fresh) > 0 && (d.turns%2 == 0 || len(d.long) == 0):
		return &d.fresh, 0
	case len(d.long) > 0:
		return &d.long, d.turns / 2 % min(len(d.long), maxAbreast)
	}
	return nil, 0
}

// drop ends what is under way for a connection, which has closed.
func (d *dispatcher) drop(c *Conn) {
	if c.cancel != nil {
		c.cancel()
	}
	ofConn := func(j job) bool { return j.conn == c }
	d.fresh = slices.DeleteFunc(d.fresh, ofConn)
	d.long = slices.DeleteFunc(d.long, ofConn)
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
