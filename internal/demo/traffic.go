// The traffic: callers that make calls all the time, and a record of what
// became of every call. An answer that is wrong counts as a failure.

//go:build unix

package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/stage"
)

const (
	callers     = 8                     // goroutines, each of which calls ping and pi in turn
	callerPause = 80 * time.Millisecond // the longest between two such pairs
	callTime    = 5 * time.Second       // for one call: what the client promises to need at most
)

// A traffic is all the calls of the client. It is safe for concurrent use.
type traffic struct {
	client *rpc.Client
	wait   sync.WaitGroup // for everyone who makes calls
	stop   chan struct{}  // closed when the callers are to end

	mu    sync.Mutex
	calls []*call // all so far
}

// A call is one call, with all attempts that the client makes for it.
type call struct {
	began, ended time.Time // ended is zero until it has
	server       string    // that answered
	err          error
}

func newTraffic(client *rpc.Client) *traffic {
	return &traffic{client: client, stop: make(chan struct{})}
}

// start starts the callers.
func (t *traffic) start(ctx context.Context) {
	for range callers {
		t.wait.Go(func() { t.caller(ctx) })
	}
}

// end lets the callers finish what they are at. It may be called again.
func (t *traffic) end() {
	select {
	case <-t.stop:
	default:
		close(t.stop)
	}
	t.wait.Wait()
}

func (t *traffic) caller(ctx context.Context) {
	if t.client.Wait(ctx, 1) != nil {
		return // interrupted before there was a server
	}
	for i := 0; ; i++ {
		t.ping(ctx, "ireader "+strconv.Itoa(i))
		_, _ = t.pi(ctx, i)
		select {
		case <-time.After(rand.N(callerPause)): // not in step with the others
		case <-t.stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// ping makes a call that must come back as it went.
func (t *traffic) ping(ctx context.Context, text string) {
	t.call(ctx, "ping", text, func(result json.RawMessage) bool {
		var echo string
		return json.Unmarshal(result, &echo) == nil && echo == text
	})
}

// pi makes a call that must come back about 1/(π(n+1)) less than π.
func (t *traffic) pi(ctx context.Context, n int) (value float64, server string) {
	server = t.call(ctx, "pi", n, func(result json.RawMessage) bool {
		err := json.Unmarshal(result, &value)
		expected := 1 / (math.Pi * float64(n+1))
		return err == nil && math.Abs((math.Pi-value)/expected-1) < 0.05
	})
	return value, server
}

// call makes a call and records it. It returns the server that answered.
func (t *traffic) call(ctx context.Context, method string, params any, right func(json.RawMessage) bool) string {
	c := &call{began: time.Now()}
	t.mu.Lock()
	t.calls = append(t.calls, c)
	t.mu.Unlock()

	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	reply, server, err := t.client.Call(callCtx, method, params)
	if ctx.Err() != nil {
		return "" // the demo was interrupted, and this call with it
	}

	if err == nil && !right(reply.Result) {
		err = fmt.Errorf("%s(%v): %s gave a wrong answer: %s", method, params, server, reply.Result)
	}

	t.mu.Lock()
	defer t.mu.Unlock()
	c.ended, c.server, c.err = time.Now(), server, err
	return server
}

// find returns the calls that match.
func (t *traffic) find(match func(call) bool) (found []call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.calls {
		if match(*c) {
			found = append(found, *c)
		}
	}
	return found
}

func (c call) over() bool { return !c.ended.IsZero() }

// endedIn returns the calls that ended after from and not after to.
func (t *traffic) endedIn(from, to time.Time) []call {
	return t.find(func(c call) bool { return c.over() && c.ended.After(from) && !c.ended.After(to) })
}

// underWayAt waits until all calls that were under way at a moment have ended,
// and returns them.
func (t *traffic) underWayAt(ctx context.Context, moment time.Time) (calls []call, err error) {
	err = stage.Await(ctx, 2*callTime, func() (bool, error) {
		calls = t.find(func(c call) bool { return c.began.Before(moment) && (!c.over() || c.ended.After(moment)) })
		return !slices.ContainsFunc(calls, func(c call) bool { return !c.over() }), nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for the end of calls: %w", err)
	}
	return calls, nil
}

// firstAnswer waits until a server has answered a call that was made since a
// moment, and returns how long after that moment it did.
func (t *traffic) firstAnswer(ctx context.Context, since time.Time, server string) (took time.Duration, err error) {
	err = stage.Await(ctx, callTime, func() (bool, error) {
		answers := t.find(func(c call) bool {
			return c.over() && c.err == nil && c.server == server && c.began.After(since)
		})
		for i, c := range answers {
			after := c.ended.Sub(since)
			if i == 0 || after < took {
				took = after
			}
		}
		return len(answers) > 0, nil
	})
	if err != nil {
		return 0, fmt.Errorf("wait for an answer from %s: %w", server, err)
	}
	return took, nil
}

// lastAnswer returns how long after a moment a server's last answer so far
// came; 0 if none came since.
func (t *traffic) lastAnswer(since time.Time, server string) (took time.Duration) {
	for _, c := range t.find(func(c call) bool { return c.over() && c.err == nil && c.server == server }) {
		took = max(took, c.ended.Sub(since))
	}
	return took
}

// A tally sums up calls that have ended.
type tally struct {
	calls    int
	failed   int
	failure  error          // of the first one that failed
	answered map[string]int // by server
	slowest  time.Duration
}

func sum(calls []call) tally {
	t := tally{calls: len(calls), answered: make(map[string]int)}
	for _, c := range calls {
		t.slowest = max(t.slowest, c.ended.Sub(c.began))
		switch {
		case c.err == nil:
			t.answered[c.server]++
		case t.failed == 0:
			t.failure = c.err
			fallthrough
		default:
			t.failed++
		}
	}

	return t
}
