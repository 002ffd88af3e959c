// Tasks: computations too long for one turn of the loop. A task runs in short
// steps, one a turn, so that the other connections of the worker are served in
// between. It is still one goroutine: nothing is shared, and a task whose
// caller has reset the connection is simply not called again. (One that closed
// it may have closed its sending side only.)
//
// Whose step is next decides when everyone is answered. If all took turns, all
// would be answered last: a dozen computations of 0.3 s each after 3.6 s, and
// under load later than anybody waits. So the oldest come first. But a short
// computation should not wait for the long ones that came before it: every
// second turn belongs to those that have hardly begun.

//go:build unix

package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"time"
)

const (
	// stepTime is about how long a step should take. It bounds what a
	// computation adds to the latency of everyone else on the worker.
	stepTime = 300 * time.Microsecond

	// freshSteps is how many steps a computation has before it is a long one:
	// about 10 ms of work. They are counted, because time also passes for one
	// that has to wait for a processor.
	freshSteps = 32

	// maxAbreast is how many of the long ones take turns. With one, a
	// computation without end would keep all others waiting for ever; each
	// more lets the first ones wait for the later.
	maxAbreast = 2
)

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

// NewTasks returns Tasks that answer a call by the method of that name, if
// there is one, and by the service otherwise.
func NewTasks(loop *Loop, service Service, methods map[string]TaskMethod) *Tasks {
	return &Tasks{loop: loop, service: service, methods: methods}
}

// Handle is a Handler.
func (t *Tasks) Handle(c *Conn, body []byte) {
	req, err := ParseRequest(body)
	if err != nil {
		c.Reply(ErrorReply(err))
		return
	}
	method, ok := t.methods[req.Method]
	if !ok || req.Params == nil {
		c.Reply(t.service.Call(req))
		return
	}

	step, err := method(req.Params)
	if err != nil {
		c.Reply(ErrorReply(fmt.Errorf("%s: %w", req.Method, err)))
		return
	}
	j := job{conn: c, step: step}

	// Most computations are short, and done at once. But a chunk may hold
	// hundreds of them: when they have used up the time of a step, they queue.
	if t.spent < stepTime {
		began := time.Now()
		reply, done := j.run()
		t.spent += time.Since(began)
		if done {
			c.Reply(reply)
			return
		}
	}

	t.fresh = append(t.fresh, j)
	t.post()
}

// post has turn called in the loop's next turn, once, if there is work.
func (t *Tasks) post() {
	if !t.posted && len(t.fresh)+len(t.long) > 0 {
		t.posted = true
		t.loop.Post(t.turn)
	}
}

// turn does one step of one task. It posts itself for the loop's next turn, so
// the loop looks at its descriptors between any two steps without sleeping.
func (t *Tasks) turn() {
	t.posted, t.spent = false, 0
	t.turns++
	jobs, i := t.next()
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
	case jobs == &t.fresh && j.steps >= freshSteps:
		t.long = append(t.long, *j)
		t.fresh = slices.Delete(t.fresh, i, i+1)
	}

	t.post()
}

// next says who does the next step, jobs[i], if there is anybody.
func (t *Tasks) next() (jobs *[]job, i int) {
	switch {
	case len(t.fresh) > 0 && (t.turns%2 == 0 || len(t.long) == 0):
		return &t.fresh, 0
	case len(t.long) > 0:
		return &t.long, t.turns / 2 % min(len(t.long), maxAbreast)
	}
	return nil, 0
}

// Drop forgets the computation for a connection, which is closed.
func (t *Tasks) Drop(c *Conn) {
	ofConn := func(j job) bool { return j.conn == c }
	t.fresh = slices.DeleteFunc(t.fresh, ofConn)
	t.long = slices.DeleteFunc(t.long, ofConn)
}

// run does a step. A panic in it costs that call only.
func (j *job) run() (reply Reply, done bool) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("a task panicked", "panic", p, "stack", string(debug.Stack()))
			reply, done = ErrorReply(errors.New("internal error")), true
		}
	}()
	j.steps++
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
