// Tasks: computations too long for one turn of the loop. A task runs in short
// steps, one a turn and the tasks taking turns, so that the other connections
// of the worker are served in between. It is still one goroutine: nothing is
// shared, and a task whose caller has reset the connection is simply not called
// again. (One that closed it may have closed its sending side only.)

//go:build unix

package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"time"
)

// stepTime is about how long a step should take. It bounds what a computation
// adds to the latency of everyone else on the worker.
const stepTime = 300 * time.Microsecond

// A Task does the next step of a computation, of about 0.3 ms, and reports
// whether it is done; then reply is the answer. It runs on the loop's
// goroutine and must not block.
type Task func() (reply Reply, done bool)

// A TaskMethod begins a computation for one call from its params, any JSON. An
// error becomes an error reply.
type TaskMethod func(params json.RawMessage) (Task, error)

// Tasks answers calls on one loop: with a service, and with computations in
// steps. It belongs to the loop's goroutine.
type Tasks struct {
	loop    *Loop
	service Service
	methods map[string]TaskMethod
	queue   []job         // whose turn it is comes first
	posted  bool          // turn will be called
	spent   time.Duration // on first steps since turn was called
}

type job struct {
	conn *Conn
	step Task
}

// NewTasks returns Tasks that answer a call by the method of that name, if
// there is one, and by the service otherwise.
func NewTasks(loop *Loop, service Service, methods map[string]TaskMethod) *Tasks {
	return &Tasks{loop: loop, service: service, methods: methods}
}

// Handle is a Handler.
func (t *Tasks) Handle(c *Conn, body []byte) {
	req, err := ParseRequest(body)
	method, ok := t.methods[req.Method]
	switch {
	case err != nil:
		c.Reply(ErrorReply(err))
		return
	case !ok || req.Params == nil:
		c.Reply(t.service.Call(req))
		return
	}
	step, err := method(req.Params)
	if err != nil {
		c.Reply(ErrorReply(fmt.Errorf("%s: %w", req.Method, err)))
		return
	}
	// Most computations are short, and done at once. But a chunk may hold
	// hundreds of them: when they have used up the time of a step, they queue.
	if t.spent < stepTime {
		began := time.Now()
		reply, done := step()
		t.spent += time.Since(began)
		if done {
			c.Reply(reply)
			return
		}
	}
	t.queue = append(t.queue, job{c, step})
	t.post()
}

// post has turn called in the loop's next turn, once, if there is work.
func (t *Tasks) post() {
	if !t.posted && len(t.queue) > 0 {
		t.posted = true
		t.loop.Post(t.turn)
	}
}

// turn does one step of one task. It posts itself for the loop's next turn, so
// the loop looks at its descriptors between any two steps without sleeping.
func (t *Tasks) turn() {
	t.posted, t.spent = false, 0
	first := t.queue[0]
	t.queue = t.queue[1:]
	if first.conn.state != stateClosed {
		if reply, done := first.run(); done {
			first.conn.Reply(reply) // which may bring the next task in
		} else {
			t.queue = append(t.queue, first)
		}
	}
	t.post()
}

// run does a step. A panic in it costs that call only.
func (j job) run() (reply Reply, done bool) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("a task panicked", "panic", p, "stack", string(debug.Stack()))
			reply, done = ErrorReply(errors.New("internal error")), true
		}
	}()
	return j.step()
}

// PiTask is Pi in steps. It adds up in the same order and so gives the same
// bits as PiSum.
func PiTask(params json.RawMessage) (Task, error) {
	n, err := PiTerms(params)
	if err != nil {
		return nil, err
	}
	next, sum := 0, 0.0
	return func() (Reply, bool) {
		const batch = 4096 // terms between two looks at the clock
		for began := time.Now(); next <= n && time.Since(began) < stepTime; {
			end := min(next+batch, n+1)
			sum = addTerms(sum, next, end)
			next = end
		}
		return NewReply("pi_r", math.Sqrt(8*sum)), next > n
	}, nil
}

// addTerms adds the terms from first to before end. In a function of its own,
// sum stays in a register; captured by a closure, it would go to memory and
// back with each term.
func addTerms(sum float64, first, end int) float64 {
	for i := first; i < end; i++ {
		odd := float64(2*i + 1)
		sum += 1 / odd / odd
	}
	return sum
}
