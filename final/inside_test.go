// One worker in the test's own process, for the tests of tasks and limits:
// clients speak to it over loopback while the test looks inside.

//go:build unix

package rpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// soon is how long a test waits for what should happen at once.
const soon = 20 * time.Second

// An inside is a worker under test.
type inside struct {
	*Loop
	t    testing.TB
	addr string

	server *Server
	tasks  *dispatcher
	waits  *atomic.Int64 // how often the loop went to sleep, or looked
	ended  chan error
}

// waitCounter counts the Waits of a Poller.
type waitCounter struct {
	Poller
	n atomic.Int64
}

func (p *waitCounter) Wait(timeout time.Duration) ([]Event, error) {
	p.n.Add(1)
	return p.Poller.Wait(timeout)
}

// startInside runs a worker with these limits and, besides the service, these
// tasks. At the end of the test it must drain.
func startInside(t testing.TB, limits Limits, methods Service) *inside {
	t.Helper()
	listener, addr, err := Listen("127.0.0.1", "0")
	require.NoError(t, err)
	poller, err := NewPoller()
	require.NoError(t, err)
	counter := &waitCounter{Poller: poller}
	loop, err := NewLoop(counter)
	require.NoError(t, err)

	service := NewService()
	maps.Copy(service, methods)
	w := &inside{
		Loop: loop, t: t, addr: addr.String(), tasks: newDispatcher(t.Context(), loop, service),
		waits: &counter.n, ended: make(chan error, 1),
	}

	w.server, err = NewServer(loop, listener, w.tasks.handle)
	require.NoError(t, err)
	w.server.OnClose = w.tasks.drop
	limits.Apply(w.server)

	go func() { w.ended <- w.Run() }()
	t.Cleanup(func() {
		w.Drain()
		w.wantEnd()
	})
	return w
}

func (w *inside) wantEnd() {
	w.t.Helper()
	err := receive(w.t, w.ended, "the end of the loop")
	assert.NoError(w.t, err)
	w.ended <- err // for the next to ask
}

// receive returns the next of what comes out of a channel.
func receive[T any](t testing.TB, from <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(soon):
		require.FailNow(t, "waited in vain for "+what)
	}
	return value
}

// on runs f on the loop's goroutine, where f must not end the test.
func (w *inside) on(f func()) {
	w.t.Helper()
	done := make(chan bool, 1)
	w.Post(func() { f(); done <- true })
	receive(w.t, done, "the loop to turn")
}

// eventually waits until a condition, asked on the loop's goroutine, holds.
func (w *inside) eventually(what string, condition func() bool) {
	w.t.Helper()
	harness.Eventually(w.t, soon, what, func() (ok bool, got string) {
		w.on(func() { ok = condition() })
		return ok, "not yet"
	})
}

// pass waits for that long on the loop's own clock.
func (w *inside) pass(d time.Duration) {
	w.t.Helper()
	passed := make(chan bool, 1)
	w.on(func() { w.AfterFunc(d, func() { passed <- true }) })
	receive(w.t, passed, "a timer")
}

// wantSleep waits until the loop sleeps: until it woke up a few times at most
// in 10 ms. A loop that spins turns hundreds of times.
func (w *inside) wantSleep() {
	w.t.Helper()
	harness.Eventually(w.t, soon, "a loop that sleeps", func() (bool, string) {
		before := w.waits.Load()
		w.pass(10 * time.Millisecond)
		return w.waits.Load()-before <= 6, "it turns"
	})
}

func (w *inside) wantConns(n int) {
	w.t.Helper()
	w.eventually("the connections that the worker should have", func() bool { return len(w.server.conns) == n })
}

func (w *inside) dial() *harness.Conn {
	w.t.Helper()
	return harness.Dial(w.t, w.addr)
}

// ping makes a call that must be answered at once.
func (w *inside) ping(c *harness.Conn) {
	w.t.Helper()
	c.SendRequest("ping", "there?")
	c.WantPong(`"there?"`)
}

// underWay returns how many computations have begun and not ended.
func (t *dispatcher) underWay() int { return len(t.fresh) + len(t.long) }

// A lab has the computations of the tests. Its fields belong to the loop.
type lab struct {
	finish  bool     // every computation may end
	running int      // that have begun
	closed  bool     // no step counts yet
	steps   []string // who did a step, by name, since then
	done    []worked // "work" that is done, in this order
}

// worked says which "work" was done, and how many steps all had done when it
// came and when it was done.
type worked struct{ name, before, after int }

// step is one step of a computation, of the usual length.
func (l *lab) step(name string) (counts bool) {
	counts = !l.closed
	if counts {
		l.steps = append(l.steps, name)
	}
	for began := time.Now(); time.Since(began) < stepTime; {
		continue
	}
	return counts
}

func (l *lab) methods() Service {
	return Service{
		"pi": TaskMethod(PiTask),
		// A computation that takes as long as the test wants.
		"compute": TaskMethod(func(params json.RawMessage) (Task, error) {
			l.running++
			return func() (Reply, bool) {
				l.step(string(params))
				return NewReply("computed", params), l.finish
			}, nil
		}),
		// One of so many steps: params are its name, a number, and how many.
		"work": TaskMethod(func(params json.RawMessage) (Task, error) {
			var work [2]int
			err := json.Unmarshal(params, &work)
			name, left, before := work[0], work[1], len(l.steps)
			l.running++
			return func() (Reply, bool) {
				if l.step(fmt.Sprint(name)) {
					left--
				}
				if left > 0 {
					return Reply{}, false
				}
				l.done = append(l.done, worked{name, before, len(l.steps)})
				return NewReply("worked", name), true
			}, err
		}),
		// One that breaks at its n-th step.
		"break": TaskMethod(func(params json.RawMessage) (Task, error) {
			left, err := PiTerms(params)
			return func() (Reply, bool) {
				left--
				if left <= 0 {
					panic("for a test")
				}
				return Reply{}, false
			}, err
		}),
	}
}
