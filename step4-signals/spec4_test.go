// Specification 4, staying up and going down: workers that die are replaced,
// and a stop finishes what was begun, leaves nothing behind and takes no
// longer than its grace period. The milestones come in the order in which a
// reader builds them.

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
)

func TestSpec4(t *testing.T) {
	start := func(t *testing.T, workers int, grace time.Duration) *harness.Server {
		t.Helper()
		s := theServer.Serve(t, harness.Options{Workers: workers, Grace: grace})
		s.WaitServing(t, workers)
		return s
	}

	// A call in progress is to be finished, however slow the machine, before
	// the grace period is over.
	grace := theServer.Settle("grace", 20*time.Second)
	most := grace - 2*time.Second

	// begin returns a connection with calls that take a while.
	begin := func(t *testing.T, s *harness.Server) (*harness.Conn, harness.Work) {
		t.Helper()
		work := theServer.Work(t, s, 300*time.Millisecond)
		c := s.Dial(t)
		c.Timeout = most
		c.Send(work.Frames)
		s.WaitRead(t, c)
		return c, work
	}

	finish := func(t *testing.T, c *harness.Conn, work harness.Work) {
		t.Helper()
		c.WantDone(work)
		c.WantEOF()
		c.Close()
	}

	// clean expects a clean end.
	clean := func(t *testing.T, s *harness.Server, within time.Duration) {
		t.Helper()
		code := s.Wait(within)
		harness.Check(t, code == 0, "exit code 0", "%d", code)
		left := len(s.Processes(t))
		harness.Check(t, left == 0, "no process left", "%d", left)
		refused, got := s.Refuses(t)
		harness.Check(t, refused, "new connections refused", "%s", got)
	}

	t.Run("4.1 a killed worker is replaced", func(t *testing.T) {
		harness.Usually(t, "the master does not wait for its children, or does not start another "+
			`→ step4 README, "Reap until none"`)
		s := start(t, 2, 0)
		workers := s.Workers(t)
		s.SignalEach(syscall.SIGKILL, workers[0])
		s.WaitWorkers(t, 5*time.Second, 2, workers[0])
		serving := s.WaitServing(t, 2)
		harness.Check(t, slices.Contains(serving, workers[1]), "the other worker goes on", "%v serve", serving)
	})

	t.Run("4.2 sixteen workers killed at once are reaped and replaced", func(t *testing.T) {
		harness.Usually(t, `one wait4 per SIGCHLD; sixteen deaths may be one signal → step4 README, "Reap until none"`)
		s := start(t, 16, 0)
		old := s.Workers(t)
		files := len(harness.Descriptors(t, s.PID))
		s.SignalEach(syscall.SIGKILL, old...)
		harness.Eventually(t, 5*time.Second, "16 new workers, no zombie", func() (bool, string) {
			workers, zombies := s.Workers(t), s.Zombies()
			replaced := !slices.ContainsFunc(workers, func(pid int) bool { return slices.Contains(old, pid) })
			return len(workers) == 16 && replaced && len(zombies) == 0,
				fmt.Sprintf("%d workers, %d zombies", len(workers), len(zombies))
		})
		s.WaitServing(t, 16)
		now := len(harness.Descriptors(t, s.PID))
		harness.Check(t, now <= files+2, fmt.Sprintf("the master with %d open files, as before", files), "%d", now)
	})

	t.Run("4.3 with no worker alive, calls wait for the next one", func(t *testing.T) {
		harness.Usually(t, "the master closed its listener: without it, the port is gone with the last worker")
		s := start(t, 2, 0)
		s.SignalEach(syscall.SIGKILL, s.Workers(t)...)
		for i := range 5 {
			reply := s.Call(t, "ping", i)
			harness.Check(t, reply.String() == fmt.Sprintf("pong %d", i), fmt.Sprintf("pong %d", i), "%v", reply)
		}
	})

	t.Run("4.4 a worker that is told to end finishes its call and is replaced", func(t *testing.T) {
		harness.Usually(t, "SIGTERM must drain a worker, not end it")
		s := start(t, 2, grace)
		c, work := begin(t, s)
		busy := s.PIDOf(c)
		s.SignalEach(syscall.SIGTERM, busy)
		finish(t, c, work)
		s.WaitWorkers(t, 5*time.Second, 2, busy)
	})

	t.Run("4.5 SIGTERM: a call in progress is answered, the exit code is 0, nobody is left", func(t *testing.T) {
		harness.Usually(t, "the workers end at the signal, or the master before them "+
			`→ step4 README, "The order of a stop"`)
		s := start(t, 2, grace)
		c, work := begin(t, s)
		busy := s.PIDOf(c)
		s.Freeze(busy)
		s.Signal(syscall.SIGTERM)
		time.Sleep(300 * time.Millisecond) // time enough for a master that doesn't wait
		harness.Check(t, !s.Ended(), "the master waiting for the worker that has a call to answer", "it ended")
		s.SignalEach(syscall.SIGCONT, busy)
		finish(t, c, work)
		clean(t, s, most)
	})

	t.Run("4.6 the same for a signal to the whole group, such as Ctrl-C", func(t *testing.T) {
		harness.Usually(t, "the workers obey the signal that reaches them directly, too: "+
			"they must ignore SIGINT and SIGHUP "+
			`→ step4 README, "The order of a stop"`)
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			s := start(t, 2, grace)
			c, work := begin(t, s)
			s.SignalGroup(sig)
			finish(t, c, work)
			clean(t, s, most)
		}
	})

	t.Run("4.7 an idle client doesn't delay a stop", func(t *testing.T) {
		harness.Usually(t, "a drain waits for the client to leave: idle connections are to be ended at once")
		s := start(t, 2, grace)
		var idle []*harness.Conn
		for i := range 10 {
			c := s.Dial(t)
			c.Timeout = most
			c.SendRequest("ping", i)
			c.WantPong(fmt.Sprint(i))
			idle = append(idle, c)
		}

		s.Signal(syscall.SIGTERM)
		for _, c := range idle {
			c.WantEOF()
			c.Close()
		}
		clean(t, s, most)
	})

	t.Run("4.8 a client that never stops sending is answered for a while, and then told the end", func(t *testing.T) {
		harness.Usually(t, "a drain goes on as long as there is something to read: bound it")
		s := start(t, 2, grace)
		c := s.Dial(t)
		more := strings.Repeat("more", 250) // short ones would come faster than a busy machine takes them
		told := make(chan struct{})
		go func() {
			frames := slices.Repeat(harness.Frame(harness.Request("ping", more)), 100)
			for c.TrySend(frames) == nil {
				select {
				case <-told: // on and on, but not more than a server discards before it closes
					time.Sleep(10 * time.Millisecond)
				default:
				}
			}
		}()

		for range 1000 {
			c.WantPong(`"` + more + `"`)
		}

		begin := time.Now()
		close(told)
		s.Signal(syscall.SIGTERM)
		_, err := c.TryReply()
		for err == nil {
			_, err = c.TryReply()
		}
		harness.Check(t, err == io.EOF,
			"replies, and then the end of the connection", "%v after %v", err, time.Since(begin))

		c.Close()
		clean(t, s, grace)
		took := time.Since(begin)
		harness.Check(t, took < grace-time.Second,
			fmt.Sprintf("all of that before the grace period of %v is over", grace), "%v", took)
	})

	t.Run("4.9 during a stop new connections are refused, they don't hang", func(t *testing.T) {
		harness.Usually(t, "a listener that nobody accepts from is still open somewhere: "+
			"the kernel goes on connecting callers to it "+
			`→ step4 README, "The order of a stop"`)
		s := start(t, 1, 0)
		c := s.Dial(t)
		c.Send(theServer.Work(t, s, 3*time.Second).Frames)
		s.WaitRead(t, c)
		s.Signal(syscall.SIGTERM)
		s.WaitRefused(t, time.Second)
		s.Kill()
	})

	t.Run("4.10 a stop as soon as the port is open", func(t *testing.T) {
		harness.Usually(t, "the signal comes before its handler is set up, "+
			"or a worker is started after the stop began "+
			`→ step4 README, "The order of a stop"`)
		for range 5 {
			s := theServer.Serve(t, harness.Options{Workers: 4}) // its workers are only starting
			s.Signal(syscall.SIGTERM)
			clean(t, s, 5*time.Second)
		}
	})

	t.Run("4.11 stopped and started again, under calls, on the same port: "+
		"no reply is lost on its way", func(t *testing.T) {
		harness.Usually(t, "the listening socket was closed, or shut down, before the queue was empty: "+
			"a worker that is to end first takes what has connected, and has 100 ms for that, "+
			"because it may be busy at that moment "+
			`→ step4 README, "The order of a stop"`)
		const queued, attempts, busyFor = 20, 3, 30 * time.Millisecond
		for attempt := 1; ; attempt++ {
			s := start(t, 1, 0)
			worker := s.Workers(t)
			s.Freeze(worker...)
			conns := make([]*harness.Conn, queued)
			for i := range conns {
				conns[i] = s.Dial(t)
				conns[i].SendRequest("ping", i)
			}
			s.Signal(syscall.SIGTERM)
			time.Sleep(busyFor)
			s.SignalEach(syscall.SIGCONT, worker...)

			answered := 0
			for _, c := range conns {
				_, err := c.TryReply()
				if err == nil {
					answered++
				}
				c.Close()
			}
			// On a busy machine the worker may get its turn when the socket has
			// been shut down.
			if answered == queued {
				break
			}
			harness.Check(t, attempt < attempts,
				fmt.Sprintf("replies to %d requests that were in the queue at the signal", queued), "%d", answered)
			s.Kill()
		}

		harness.Usually(t, "a socket was closed with unread input, which resets the connection")
		s := start(t, 2, 0)
		l := harness.StartLoad(t, s.Addr, 6)

		for range 3 {
			l.WaitCalls(200)
			s.Signal(syscall.SIGTERM)
			code := s.Wait(5 * time.Second)
			harness.Check(t, code == 0, "exit code 0", "%d", code)
			s = s.Restart(t)
		}
		l.WaitCalls(200)
		l.Stop()
	})

	t.Run("4.12 a second signal ends the wait", func(t *testing.T) {
		harness.Usually(t, "the master can hear no signal while it waits for its workers, "+
			"or hears it and sends no SIGKILL")
		s := start(t, 2, time.Minute)
		s.Freeze(s.Workers(t)[0])
		s.Signal(syscall.SIGTERM)
		s.WaitRefused(t, 2*time.Second)
		harness.Check(t, !s.Ended(), "the master waiting for the stopped worker", "it ended")
		s.Signal(syscall.SIGTERM)
		clean(t, s, 10*time.Second)
	})

	t.Run("4.13 a stopped worker is killed after the grace period, and no caller hangs meanwhile", func(t *testing.T) {
		harness.Usually(t, "only SIGKILL ends a stopped process, "+
			"and until then its listener must not keep callers waiting "+
			`→ step4 README, "The order of a stop"`)
		t.Parallel() // it mostly waits, as do those below
		grace := theServer.Settle("grace", 1500*time.Millisecond)
		s := start(t, 2, grace)
		s.Freeze(s.Workers(t)[0])

		begin := time.Now()
		s.Signal(syscall.SIGTERM)
		for !s.Ended() && time.Since(begin) < grace+3500*time.Millisecond {
			s.Refuses(t) // or else fails the test
			time.Sleep(10 * time.Millisecond)
		}

		clean(t, s, 5*time.Second)
		took := time.Since(begin)
		harness.Check(t, took > grace-100*time.Millisecond,
			fmt.Sprintf("the worker given its grace period of %v", grace), "%v", took)
	})

	t.Run("4.14 clients with half a request, or that never read, get the grace period and no more", func(t *testing.T) {
		harness.Usually(t, `a drain that waits for its clients has no bound → step4 README, "The order of a stop"`)
		t.Parallel()
		grace := theServer.Settle("grace", time.Second)
		s := start(t, 2, grace)
		half, deaf := s.Dial(t), harness.DialSmall(t, s.Addr)
		half.Send([]byte{30, 0, 0, 0, '{'})
		params := json.RawMessage(`"` + strings.Repeat("x", 500_000) + `"`)
		go func() { _ = deaf.TrySend(slices.Repeat(harness.Frame(harness.Request("ping", params)), 50)) }()
		s.WaitRead(t, half)
		s.Signal(syscall.SIGTERM)
		clean(t, s, grace+3*time.Second)
	})

	t.Run("4.15 workers that die young are replaced, but more and more slowly", func(t *testing.T) {
		harness.Usually(t, "a worker that dies young is replaced at once, again and again, which costs a whole CPU; "+
			"or deaths are forgotten as soon as a worker is ready, and not when one has lived for a while "+
			`→ step4 README, "Die young, wait longer"`)
		t.Parallel()
		const length, most = 2 * time.Second, 10
		dieYoung := func(s *harness.Server, least int, when string, wait func()) {
			t.Helper()
			seen := map[int]bool{}
			for begin := time.Now(); time.Since(begin) < length; {
				wait()
				for _, pid := range s.Workers(t) {
					seen[pid] = true
					s.SignalEach(syscall.SIGKILL, pid)
				}
			}

			expected := fmt.Sprintf("%d to %d workers started in %v, all killed %s", least, most, length, when)
			harness.Given(t, func() { harness.Check(t, len(seen) >= least, expected, "%d", len(seen)) })
			harness.Check(t, len(seen) <= most, expected, "%d", len(seen))
		}

		eager := start(t, 1, 0)
		dieYoung(eager, 1, "when they had answered a call", func() { eager.Call(t, "ping", "ready?") })
		eager.Kill()

		s := start(t, 1, 0)
		dieYoung(s, 3, "young", func() { time.Sleep(time.Millisecond) })

		harness.Usually(t, "the pause only ever grows: a worker that has lived for ten seconds is no sign of trouble, "+
			"and the next one begins with a clean record "+
			`→ step4 README, "Die young, wait longer"`)
		grown := s.WaitServing(t, 1)
		born := time.Now()
		harness.Eventually(t, 20*time.Second, "12s to pass", func() (bool, string) {
			return time.Since(born) > 12*time.Second, "not yet"
		})
		s.SignalEach(syscall.SIGKILL, grown...)
		s.WaitWorkers(t, time.Second, 1, grown...)
	})

	t.Run("4.16 a stop while a worker waits to be replaced", func(t *testing.T) {
		harness.Usually(t, "the pause before a replacement holds up the master, "+
			"or the worker is started although it stops "+
			`→ step4 README, "Die young, wait longer"`)
		t.Parallel()
		s := start(t, 1, 0)

		// Each pause is longer than the one before. After one of a second, it
		// shows whether the master sleeps through the next.
		pause := time.Duration(0)
		for deaths := 0; deaths < 8 && pause < time.Second; deaths++ {
			died := time.Now()
			harness.Eventually(t, 5*time.Second, "a worker, to be killed", func() (bool, string) {
				return len(s.Workers(t)) > 0, "none"
			})
			pause = time.Since(died)
			worker := s.Workers(t)
			s.SignalEach(syscall.SIGKILL, worker...)
			harness.Eventually(t, 5*time.Second, "that worker gone", func() (bool, string) {
				return s.Gone(worker...), "alive, or a zombie"
			})
		}

		s.Signal(syscall.SIGTERM)
		clean(t, s, 2*time.Second)
	})

	t.Run("4.17 the reader of the log goes away: nobody dies of it, and a stop is a clean one", func(t *testing.T) {
		harness.Usually(t, "a line written into a pipe that nobody reads ends the process by SIGPIPE, "+
			"unless that is ignored "+
			`→ step4 README, "No wish to end"`)
		reader, log, err := os.Pipe()
		harness.Check(t, err == nil, "a pipe", "%v", err)
		defer reader.Close()

		s := theServer.Serve(t, harness.Options{Workers: 2, Grace: grace, Output: log})
		log.Close() // only the server has it now
		workers := s.WaitServing(t, 2)

		reader.Close()
		s.SignalEach(syscall.SIGKILL, workers[0]) // which is worth a line
		s.WaitWorkers(t, 5*time.Second, 2, workers[0])
		s.WaitServing(t, 2)

		c, work := begin(t, s)
		s.Signal(syscall.SIGTERM)
		finish(t, c, work)
		clean(t, s, most)
	})

	t.Run("4.18 a terminal that is closed sends SIGHUP twice: the second ends no wait", func(t *testing.T) {
		harness.Usually(t, "any signal counts as the second one, "+
			"but only SIGINT and SIGTERM come from somebody who is tired of waiting "+
			`→ step4 README, "No wish to end"`)
		s := start(t, 2, grace)
		c, work := begin(t, s)
		s.SignalGroup(syscall.SIGHUP)
		s.WaitRefused(t, 5*time.Second)
		s.SignalGroup(syscall.SIGHUP)
		finish(t, c, work)
		clean(t, s, most)
	})

	t.Run("4.19 started with SIGHUP ignored, as by nohup, it stays when the terminal goes", func(t *testing.T) {
		harness.Usually(t, "a signal that was ignored at the start is asked for with signal.Notify, which ends that "+
			`→ step4 README, "No wish to end"`)
		s := theServer.Serve(t, harness.Options{Workers: 2, Grace: grace, Ignored: "HUP"})
		s.WaitServing(t, 2)
		s.SignalGroup(syscall.SIGHUP)
		for range 20 {
			reply := s.Call(t, "ping", "still here")
			harness.Check(t, reply.Kind == "pong", "an answer", "%v", reply)
		}
		harness.Check(t, !s.Ended(), "the server running", "it ended")
		s.Signal(syscall.SIGTERM)
		clean(t, s, most)
	})

	t.Run("4.20 SIGTERM to the whole group: workers serve until their master has them end", func(t *testing.T) {
		harness.Usually(t, "the workers obey a signal that came to all, while the master has something to do first "+
			`→ step4 README, "No wish to end"`)
		s := start(t, 2, grace)
		s.Freeze(s.PID) // as if that took its time
		s.SignalGroup(syscall.SIGTERM)
		for begin := time.Now(); time.Since(begin) < time.Second; {
			reply := s.Call(t, "ping", "still here")
			harness.Check(t, reply.Kind == "pong", "an answer", "%v", reply)
		}
		s.Signal(syscall.SIGCONT)
		clean(t, s, most)
	})

	t.Run("4.21 a master killed in the middle of a stop leaves no port on which callers hang", func(t *testing.T) {
		harness.Usually(t, "a worker that has drained leaves at once: then the master dies before it has shut "+
			"the socket down, and only a worker that is busy is left, which holds the socket and accepts nobody "+
			`→ step4 README, "The order of a stop"`)
		for _, moment := range []time.Duration{0, 20, 40, 60, 80} { // of the 100 ms before the socket is shut down
			s := start(t, 2, 0)
			c := s.Dial(t)
			c.Send(theServer.Work(t, s, 3*time.Second).Frames)
			s.WaitRead(t, c)

			s.Signal(syscall.SIGTERM)
			time.Sleep(moment * time.Millisecond)
			s.Signal(syscall.SIGKILL)
			s.Wait(5 * time.Second)
			s.WaitRefused(t, 2*time.Second)
			s.Kill()
		}
	})

	t.Run("4.22 workers that are told to end, one after the other, are each replaced at once", func(t *testing.T) {
		harness.Usually(t, "a worker that ends as it was told counts as one that died young, "+
			"so that in a rolling restart each successor comes later than the one before "+
			`→ step4 README, "Die young, wait longer"`)
		t.Parallel() // it mostly waits
		s := start(t, 1, 0)
		for range 7 {
			worker := s.Workers(t)
			s.SignalEach(syscall.SIGTERM, worker...)
			s.WaitWorkers(t, 2*time.Second, 1, worker...)
			s.WaitServing(t, 1)
		}
	})
}
