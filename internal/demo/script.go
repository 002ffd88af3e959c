// The script: what happens in the demo, act by act. An act does something to
// the servers, waits until the client has noticed, and writes down how long
// that took.

//go:build unix

package demo

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/stage"
)

const (
	changeTime = 10 * time.Second        // for processes to start, be replaced and end
	lookOn     = 1800 * time.Millisecond // for the audience, after a change
	longPi     = 20_000_000              // terms: some 150 ms of computing
	cleanEnd   = "exit status 0"
)

// A show is one performance.
type show struct {
	screen *screen
	cast   *cast
	a, b   *server

	// The client.
	list  *list
	calls *traffic
	rows  []row
	close func() // ends meters, calls and client; may be called again
}

func newShow(screen *screen, cast *cast) (s *show, err error) {
	s = &show{screen: screen, cast: cast, close: func() {}}
	s.a, err = cast.addServer("A")
	if err == nil {
		s.b, err = cast.addServer("B")
	}
	return s, err
}

// play goes through the acts until one fails or ctx ends.
func (s *show) play(ctx context.Context) error {
	s.screen.line("Two servers register in %s. A client watches the list there and sends\n"+
		"every ping and pi of its %d callers to a random server. Then servers come, go and\n"+
		"crash: will a call fail? Twice a second a line shows who answered how many.", s.cast.kind.Name, callers)
	for i, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"The servers join", s.join},
		{"Calls spread over both, and pi converges", s.converge},
		{"B is told to stop", s.stop},
		{"B starts again", s.restart},
		{"A worker of A is killed", s.killWorker},
		{"A's master is killed, in the middle of a call", s.killMaster},
		{"The end", s.end},
	} {
		s.screen.heading(i+1, act.title)
		if err := act.play(ctx); err != nil {
			return err
		}
	}
	return nil
}

// join starts the registry, the client and both servers.
func (s *show) join(ctx context.Context) error {
	if err := s.cast.startRegistry(ctx); err != nil {
		return err
	}
	registry := s.cast.registry
	s.screen.note("%s serves at %s, process %d", s.cast.kind.Name, registry.Addr(), registry.PID())

	servers, err := registry.Discovery()
	if err != nil {
		return err
	}
	s.list = &list{source: servers}
	client := rpc.NewClient(s.list)
	s.calls = newTraffic(client)
	s.calls.start(ctx) // they wait for a server
	stopMeters := s.startMeters()
	s.close = sync.OnceFunc(func() {
		s.calls.end()
		stopMeters()
		client.Close()
	})

	if err := s.start(ctx, s.a, "A starts"); err != nil {
		return err
	}
	if err := pause(ctx, lookOn); err != nil {
		return err
	}
	return s.start(ctx, s.b, "B starts")
}

// start starts a server and waits until it answers calls.
func (s *show) start(ctx context.Context, v *server, what string) error {
	began := time.Now()
	if err := v.Start(); err != nil {
		return err
	}

	listed, err := s.list.await(ctx, began, v.addr, true)
	if err != nil {
		return err
	}
	answered, err := s.calls.firstAnswer(ctx, began, v.addr)
	if err != nil {
		return err
	}

	pids, err := v.WaitWorkers(ctx, workers)
	if err != nil {
		return err
	}

	s.screen.note("%s at %s: master %d, workers %s", what, v.addr, v.PID(), join(pids))
	s.screen.note("the client's list shows %s after %s", v.name, short(listed))
	s.happened(began, what, fmt.Sprintf("shows %s in %s", v.name, short(listed)),
		fmt.Sprintf("%s answers in %s", v.name, short(answered)))
	return nil
}

// converge asks for pi from more and more terms.
func (s *show) converge(ctx context.Context) error {
	if err := pause(ctx, lookOn); err != nil {
		return err
	}

	s.screen.line("\n         %10s  %-14s  %-7s  %s", "n", "pi(n)", "error", "answered by")
	for n := 1; n <= 10_000_000; n *= 10 {
		value, addr := s.calls.pi(ctx, n)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.screen.line("         %10d  %-14.12g  %.1e  %s", n, value, math.Pi-value, s.name(addr))
	}

	s.screen.line("")
	return pause(ctx, lookOn/2)
}

// stop tells B to stop while it computes.
func (s *show) stop(ctx context.Context) error {
	if _, err := s.keepBusy(ctx, s.b); err != nil {
		return err
	}

	began := time.Now()
	if err := s.b.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	s.screen.note("SIGTERM to B's master, %d, while a worker computes pi(%d)", s.b.PID(), longPi)

	gone, err := s.list.await(ctx, began, s.b.addr, false)
	if err != nil {
		return err
	}
	s.screen.note("off the client's list after %s", short(gone))
	if err := s.ended(s.b); err != nil {
		return err
	}

	s.screen.note("B has answered what it had and ended after %s: %s", short(time.Since(began)), cleanEnd)
	if err := s.whoAnswered(ctx, began); err != nil {
		return err
	}

	s.happened(began, "B is told to stop: SIGTERM", "drops B in "+short(gone),
		"B's last after "+short(s.calls.lastAnswer(began, s.b.addr)))
	return pause(ctx, lookOn)
}

func (s *show) restart(ctx context.Context) error {
	if err := s.start(ctx, s.b, "B starts again"); err != nil {
		return err
	}
	return pause(ctx, lookOn)
}

// killWorker kills the worker of A that computes.
func (s *show) killWorker(ctx context.Context) error {
	victim, err := s.keepBusy(ctx, s.a)
	if err != nil {
		return err
	}

	began := time.Now()
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill worker %d of A: %w", victim, err)
	}
	s.screen.note("SIGKILL to A's worker %d, which computes pi(%d)", victim, longPi)

	pids, err := s.a.WaitWorkers(ctx, workers, victim)
	if err != nil {
		return err
	}
	s.screen.note("replaced after %s: A's workers are %s", short(time.Since(began)), join(pids))
	if err := s.whoAnswered(ctx, began); err != nil {
		return err
	}

	answered, err := s.calls.firstAnswer(ctx, began, s.a.addr)
	if err != nil {
		return err
	}

	s.happened(began, "worker of A killed: SIGKILL", "keeps A", "A answers in "+short(answered))
	return pause(ctx, lookOn)
}

// killMaster kills A's master while a worker computes, and sees how A ends.
func (s *show) killMaster(ctx context.Context) error {
	if _, err := s.keepBusy(ctx, s.a); err != nil {
		return err
	}

	began := time.Now()
	if err := s.a.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	s.screen.note("SIGKILL to A's master, %d, while a worker computes pi(%d)", s.a.PID(), longPi)

	if _, err := s.a.Wait(changeTime); err != nil {
		return err
	}
	err := stage.Await(ctx, changeTime, func() (bool, error) {
		left, err := s.a.Workers()
		return len(left) == 0, err
	})
	if err != nil {
		return fmt.Errorf("wait for the workers of A to end: %w", err)
	}

	s.screen.note("A's workers have answered what they had and ended after %s", short(time.Since(began)))
	if err := s.whoAnswered(ctx, began); err != nil {
		return err
	}

	s.screen.note("A stays listed until its %s times out; what it refuses goes to B", s.cast.kind.Lease)
	gone, err := s.list.await(ctx, began, s.a.addr, false)
	if err != nil {
		return err
	}
	s.screen.note("off the client's list after %s: the %s has timed out", short(gone), s.cast.kind.Lease)

	s.happened(began, "master of A killed: SIGKILL", "drops A in "+short(gone)+" *",
		"A's last after "+short(s.calls.lastAnswer(began, s.a.addr)))
	return pause(ctx, lookOn)
}

// keepBusy makes long calls until v computes one of them, and returns the
// worker that does. Where a call goes is the client's choice.
func (s *show) keepBusy(ctx context.Context, v *server) (worker int, err error) {
	const patience = 30 // calls; each has an even chance
	for range patience {
		done := make(chan struct{})
		s.calls.wait.Go(func() {
			defer close(done)
			s.calls.pi(ctx, longPi)
		})
		err := stage.Await(ctx, 2*callTime, func() (over bool, err error) {
			select {
			case <-done: // it went elsewhere
				return true, nil
			default:
			}
			var params string
			params, worker, err = v.lastCall("pi")
			return params == fmt.Sprint(longPi), err
		})
		select {
		case <-done:
		default:
			return worker, err
		}
	}
	return 0, fmt.Errorf("none of %d calls came to server %s", patience, v.name)
}

// whoAnswered waits for the calls that were under way at a moment, and says
// who answered them.
func (s *show) whoAnswered(ctx context.Context, moment time.Time) error {
	calls, err := s.calls.underWayAt(ctx, moment)
	if err != nil {
		return err
	}
	t := sum(calls)
	s.screen.note("calls under way at the signal: %d answered by A, %d by B, %d failed",
		t.answered[s.a.addr], t.answered[s.b.addr], t.failed)
	return nil
}

// ended waits until a server that was told to end has done so.
func (s *show) ended(v *server) error {
	status, err := v.Wait(changeTime)
	if err == nil && status != cleanEnd {
		err = fmt.Errorf("server %s ended with %s instead of %s", v.name, status, cleanEnd)
	}
	return err
}

// end lets the calls come to an end, and then B.
func (s *show) end(context.Context) error {
	s.close()
	s.screen.note("the callers have stopped")
	if err := s.b.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := s.ended(s.b)
	if err == nil {
		s.screen.note("SIGTERM to B's master, %d: %s", s.b.PID(), cleanEnd)
	}
	return err
}

func (s *show) name(addr string) string {
	i := slices.IndexFunc(s.cast.servers, func(v *server) bool { return v.addr == addr })
	if i < 0 { // the call failed
		return "nobody"
	}
	return s.cast.servers[i].name
}

// score adds everything up.
func (s *show) score(left []string) scoreboard {
	b := scoreboard{
		kind: s.cast.kind, rows: s.rows, left: left, took: time.Since(s.screen.began), servers: s.cast.servers,
	}
	if s.calls != nil {
		b.tally = sum(s.calls.endedIn(time.Time{}, time.Now()))
	}
	return b
}

func (s *show) happened(at time.Time, what, list, calls string) {
	s.rows = append(s.rows, row{at.Sub(s.screen.began), what, list, calls})
}

// pause lets the audience look on.
func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func join(pids []int) string { return strings.Trim(fmt.Sprint(pids), "[]") }
