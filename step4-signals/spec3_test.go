// Specification 3, many processes on one port: the master's workers share the
// connections, and one socket, so that the death of one costs the others
// nothing. The milestones come in the order in which a reader builds them.

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
)

func TestSpec3(t *testing.T) {
	start := func(t *testing.T, workers int) *harness.Server {
		t.Helper()
		return theServer.Serve(t, harness.Options{Workers: workers})
	}

	t.Run("3.1 several pids answer", func(t *testing.T) {
		harness.Usually(t, "the workers didn't get the listening socket, or only one of them accepts "+
			`→ step3 README, "What a worker inherits"`)
		s := start(t, 2)
		conns := map[int]*harness.Conn{}
		harness.Eventually(t, 10*time.Second, "connections held by two processes", func() (bool, string) {
			c := s.Dial(t)
			conns[s.Owners(t, c)[0]] = c
			return len(conns) == 2, fmt.Sprint(len(conns))
		})
		for pid, c := range conns {
			c.SendRequest("ping", pid)
			c.WantPong(fmt.Sprint(pid))
		}
	})

	t.Run("3.2 there are as many workers as asked for, and the master isn't one", func(t *testing.T) {
		harness.Usually(t, "the master accepts, too, or counts itself as a worker")
		for _, n := range []int{1, 3} {
			s := start(t, n)
			serving := s.WaitServing(t, n)
			workers := s.Workers(t)
			harness.Check(t, slices.Equal(serving, workers),
				fmt.Sprintf("the workers %v, and only they, accept connections", workers), "%v", serving)
			all := s.Processes(t)
			harness.Check(t, len(all) == 1+n, fmt.Sprintf("%d processes", 1+n), "%d", len(all))
		}

		harness.Usually(t, "Go's garbage collector, which GOMEMLIMIT=1 has run all the time, closes a file "+
			"that nobody refers to any more: the lifeline of a worker, if its master has kept no more than a pid "+
			`→ step3 README, "The lifeline"`)
		s := theServer.Serve(t, harness.Options{Workers: 3, Env: []string{"GOMEMLIMIT=1"}})
		s.WaitServing(t, 3)
		s.WaitWorkers(t, 5*time.Second, 3)
	})

	t.Run("3.3 all workers answer at the same time", func(t *testing.T) {
		harness.Usually(t, "a worker waits in accept: a socket shared by processes must not block, "+
			"another may be faster "+
			`→ step3 README, "What a worker inherits"`)
		s := start(t, 4)
		s.WaitServing(t, 4)

		held := map[int]*harness.Conn{}
		harness.Eventually(t, 10*time.Second, "connections held by four processes", func() (bool, string) {
			c := s.Dial(t)
			held[s.Owners(t, c)[0]] = c
			return len(held) == 4, fmt.Sprint(len(held))
		})
		for round := range 50 {
			newcomer := s.Dial(t) // it wakes all of them, and one takes it
			s.Owners(t, newcomer)
			for _, c := range held {
				c.SendRequest("ping", round)
				c.WantPong(fmt.Sprint(round))
			}
			newcomer.Close()
		}

		for round := range 3 {
			var conns []*harness.Conn
			for i := range 40 {
				c := s.Dial(t)
				c.SendRequest("ping", []int{round, i})
				conns = append(conns, c)
			}
			for i, c := range conns {
				c.WantPong(fmt.Sprintf("[%d,%d]", round, i))
				c.Close()
			}
		}
	})

	t.Run("3.4 connections spread: of 64, the busier one of two workers holds at most 60 %, "+
		"on average of 10 rounds", func(t *testing.T) {
		harness.Usually(t, "the worker that is awake takes them all: "+
			"after one connection leave the next to others for a moment "+
			`→ step3 README, "Whose turn it is"`)
		const rounds, conns, most = 10, 64, 0.6
		s := start(t, 2)
		s.WaitServing(t, 2)

		var held []int // by the busier one, in each round
		average := float64(conns)

		// Where other programs keep the processors busy, whose turn it is isn't
		// the workers' to say: so there are three attempts.
		for attempt := 0; attempt < 3 && average > most*conns; attempt++ {
			held, average = nil, 0
			for range rounds {
				var open []*harness.Conn
				for range conns {
					open = append(open, s.Dial(t))
				}

				share := map[int]int{}
				for _, pid := range s.Owners(t, open...) {
					share[pid]++
				}

				larger := slices.Max(slices.Collect(maps.Values(share)))
				held = append(held, larger)
				average += float64(larger) / rounds
				spec3Leave(t, s, open)
			}
		}
		harness.Check(t, average <= most*conns,
			fmt.Sprintf("at most %g of %d connections on one worker, on average", most*conns, conns),
			"%g: %v", average, held)
	})

	t.Run("3.5 a worker killed with 40 connections queued loses none", func(t *testing.T) {
		harness.Usually(t, "each worker has a listening socket of its own: what waits in it dies with it "+
			`→ step3 README, "Whose turn it is"`)
		s := start(t, 2)
		s.WaitServing(t, 2)
		workers := s.Workers(t)
		s.Freeze(workers...)

		var queued []*harness.Conn
		for i := range 40 {
			c := s.Dial(t)
			c.SendRequest("ping", i)
			queued = append(queued, c)
		}

		s.SignalEach(syscall.SIGKILL, workers[0])
		harness.Eventually(t, 5*time.Second, fmt.Sprintf("worker %d dead", workers[0]), func() (bool, string) {
			return !slices.Contains(s.Workers(t), workers[0]), "alive"
		})

		s.SignalEach(syscall.SIGCONT, workers[1])
		for i, c := range queued {
			c.WantPong(fmt.Sprint(i))
		}
	})

	t.Run("3.6 a worker's death ends its own connections and no others", func(t *testing.T) {
		harness.Usually(t, "the master ends when one of its workers does, or holds copies of their connections "+
			`→ step3 README, "What a worker inherits"`)
		s := start(t, 2)
		workers := s.WaitServing(t, 2)
		var conns []*harness.Conn
		for i := range 20 {
			c := s.Dial(t)
			c.SendRequest("ping", i)
			c.WantPong(fmt.Sprint(i))
			conns = append(conns, c)
		}

		owners := s.Owners(t, conns...)
		s.SignalEach(syscall.SIGKILL, workers[0])
		for i, c := range conns {
			if owners[i] == workers[0] {
				c.WantEOF()
				continue
			}
			c.SendRequest("ping", "unharmed")
			c.WantPong(`"unharmed"`)
		}

		reply := s.Call(t, "ping", "new")
		harness.Check(t, reply.Kind == "pong", "a new connection answered", "%v", reply)
	})

	t.Run("3.7 a worker is given nothing of the master's but the listener and two pipes", func(t *testing.T) {
		harness.Usually(t, "a descriptor without close-on-exec goes to every process that is started later "+
			`→ step3 README, "What a worker inherits"`)
		s := start(t, 2)
		s.WaitServing(t, 2)
		s.WaitWorkers(t, 5*time.Second, 2)

		ends := s.Ends(t)
		for _, end := range ends {
			if end.PID != s.PID {
				spec3Given(t, s.PID, end, ends)
			}
		}
	})

	t.Run("3.8 master killed with SIGKILL: port free and idle workers gone within a second", func(t *testing.T) {
		harness.Usually(t, "nobody tells the workers that the master is gone: hold a pipe whose other end only it has "+
			`→ step3 README, "The lifeline"`)
		s := start(t, 2)
		s.WaitServing(t, 2)
		workers := s.Workers(t)

		idle := s.Dial(t)
		idle.SendRequest("ping", "idle")
		idle.WantPong(`"idle"`)
		idle.Timeout = time.Second

		s.Signal(syscall.SIGKILL)
		s.Wait(5 * time.Second)
		begin := time.Now()
		idle.WantEOF()
		idle.Close()
		s.WaitPortFree(t, time.Second)
		harness.Eventually(t, time.Second, "no worker left", func() (bool, string) {
			return s.Gone(workers...), fmt.Sprint(len(s.Processes(t)))
		})
		took := time.Since(begin)
		harness.Check(t, took < time.Second, "all of that within 1s", "%v", took)
	})

	t.Run("3.9 master killed with SIGKILL: a busy worker still answers, and then ends", func(t *testing.T) {
		harness.Usually(t, `the worker ends at once, instead of when it has answered → step3 README, "The lifeline"`)
		grace := theServer.Settle("grace", 20*time.Second)
		s := theServer.Serve(t, harness.Options{Workers: 2, Grace: grace})
		s.WaitServing(t, 2)
		workers := s.Workers(t)

		c := s.Dial(t)
		c.Timeout = grace - 2*time.Second
		work := theServer.Work(t, s, 300*time.Millisecond)
		c.Send(work.Frames)
		s.WaitRead(t, c)

		s.Signal(syscall.SIGKILL)
		c.WantDone(work)
		c.WantEOF()
		c.Close()
		harness.Eventually(t, grace-2*time.Second, "no worker left", func() (bool, string) {
			return s.Gone(workers...), fmt.Sprint(len(s.Processes(t)))
		})
	})

	t.Run("3.10 master killed with SIGKILL: no client keeps a worker longer than the grace period", func(t *testing.T) {
		harness.Usually(t, `a drain that waits for its clients has no bound → step3 README, "The lifeline"`)
		t.Parallel() // it mostly waits
		s := theServer.Serve(t, harness.Options{Workers: 2, Grace: time.Second})
		s.WaitServing(t, 2)
		workers := s.Workers(t)

		half, deaf := s.Dial(t), harness.DialSmall(t, s.Addr)
		half.Send([]byte{30, 0, 0, 0, '{'})
		params := json.RawMessage(`"` + strings.Repeat("x", 500_000) + `"`)
		go func() { _ = deaf.TrySend(slices.Repeat(harness.Frame(harness.Request("ping", params)), 50)) }()
		s.WaitRead(t, half)

		s.Signal(syscall.SIGKILL)
		harness.Eventually(t, 8*time.Second, "no worker left", func() (bool, string) {
			return s.Gone(workers...), fmt.Sprint(len(s.Processes(t)))
		})
	})

	t.Run("3.11 a restart at once after the master was killed", func(t *testing.T) {
		harness.Usually(t, `an orphan still holds the port → step3 README, "The lifeline"`)
		s := start(t, 2)
		for range 3 {
			s.WaitServing(t, 2)
			s.Signal(syscall.SIGKILL)
			s.Wait(5 * time.Second)
			s.WaitPortFree(t, time.Second)
			s = s.Restart(t)
		}

		harness.Usually(t, "an orphan that is busy has the listening socket open, too, and callers wait in it: "+
			"each worker must not only close the socket but shut it down for all "+
			`→ step3 README, "The lifeline"`)
		s.WaitServing(t, 2)
		busy := s.Dial(t)
		busy.Send(theServer.Work(t, s, 4*time.Second).Frames)
		s.WaitRead(t, busy)
		s.Signal(syscall.SIGKILL)
		s.Wait(5 * time.Second)
		s.WaitRefused(t, 2*time.Second)
		s.Restart(t)
	})

	t.Run("3.12 an empty marker in the environment makes no difference", func(t *testing.T) {
		harness.Usually(t, "the workers find the empty one first, and take themselves for masters "+
			`→ step3 README, "What a worker inherits"`)
		s := theServer.Serve(t, harness.Options{Workers: 2, Env: []string{"RPC_WORKER="}})
		s.WaitServing(t, 2)
		all := s.Processes(t)
		harness.Check(t, len(all) == 3, "3 processes: a master and two workers", "%d", len(all))
	})
}

// spec3Leave closes the connections and waits until the server has noticed.
func spec3Leave(t *testing.T, s *harness.Server, conns []*harness.Conn) {
	t.Helper()
	before := s.Open(t)
	for _, c := range conns {
		c.Close()
	}
	expected := fmt.Sprintf("%d connections closed by the server, too", len(conns))
	harness.Eventually(t, 5*time.Second, expected, func() (bool, string) {
		closed := before - s.Open(t)
		return closed >= len(conns), fmt.Sprint(closed)
	})
}

// spec3Given checks one end of a pipe, or a socket, that a worker holds, given
// all that the processes hold beside the listening socket. What only that
// worker has is its own affair. What it shares must lead to the master.
func spec3Given(t *testing.T, master int, end harness.End, all []harness.End) {
	t.Helper()
	got := func(other harness.End) string { return fmt.Sprintf("%v; and %v", end, other) }

	alone, mastersToo, leads := true, false, false
	for _, other := range all {
		if other.Target != end.Target {
			continue
		}
		alone = alone && other.PID == end.PID
		mastersToo = mastersToo || other.PID == master
		leads = leads || other.PID == master && other.IsOther(end)
	}
	if alone {
		return
	}

	for _, other := range all {
		switch {
		case other.Target != end.Target:
		case other.PID == master:
			harness.Check(t, end.IsPipe(),
				fmt.Sprintf("worker %d without a socket of the master's, beside the listening one", end.PID),
				"%s", got(other))
		default:
			harness.Check(t, !other.IsOther(end),
				fmt.Sprintf("worker %d with one end of a pipe, and the other one in the master only", end.PID),
				"%s", got(other))
		}
	}
	harness.Check(t, leads || !mastersToo,
		fmt.Sprintf("worker %d with no pipe of the master's but those that lead to the master", end.PID),
		"%v, which the master has, too, and not the other end", end)
}
