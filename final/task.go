// Tasks: computations too long for one turn of the loop, in short steps. It is
// still one goroutine: nothing is shared, and nothing is left behind when
// nobody waits for the answer any more. Whose step is next is dispatch.go's
// business.

package rpc

import (
	"context"
	"encoding/json"
	"math"
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

func (m TaskMethod) answer(_ context.Context, req Request) Reply {
	step, err := m(req.Params)
	if err != nil {
		return failure(req, err)
	}

	reply, done := step()
	for !done {
		reply, done = step()
	}
	return reply
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
