// Tests of the supervisor's end: what happens in which order, and that nobody
// can hold it up.

//go:build unix

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

func TestSupervisorStop(t *testing.T) {
	c := newCrew(t, 2, "serve")
	c.runUntilReady()
	conn := harness.Dial(t, c.addr)
	conn.SendRequest("ping", 1)
	conn.WantPong("1")

	c.stop <- syscall.SIGTERM
	conn.WantEOF()
	conn.Close()
	assert.NoError(t, c.wait())

	posted := make(chan bool)
	go func() {
		c.post(func() {})
		close(posted)
	}()
	receive(t, posted, "post, when nobody takes events any more")
	harness.Eventually(t, patience, "nobody listens to workers that have ended", func() (bool, string) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !strings.Contains(string(stacks), "(*Supervisor).spawn"), string(stacks)
	})

	_, err := net.DialTimeout("tcp", c.addr, patience)
	assert.ErrorIs(t, err, unix.ECONNREFUSED)
	assert.True(t, receive(t, c.serving, "OnServing"))
	assert.Empty(t, c.serving, "the end is OnStop's")
	assert.Empty(t, c.pauses())
}

func TestSupervisorStopBeforeAnyWorkerIsReady(t *testing.T) {
	c := newCrew(t, 2, "hang")
	c.run()
	harness.Eventually(t, patience, "two workers started", func() (bool, string) { return len(c.spawned()) == 2, "" })
	c.stop <- syscall.SIGTERM
	assert.NoError(t, c.wait())
	assert.Empty(t, c.started)
	assert.Empty(t, c.serving)
}

// Until OnStop returns the workers serve, and nobody replaces them.
func TestSupervisorServesUntilOnStopReturns(t *testing.T) {
	c := newCrew(t, 2, "serve")
	stopping, release := make(chan context.Context, 1), make(chan struct{})
	c.OnStop = func(ctx context.Context) {
		stopping <- ctx
		<-release
	}
	pids := c.runUntilReady()
	assert.True(t, receive(t, c.serving, "OnServing"))
	c.stop <- syscall.SIGTERM
	ctx := receive(t, stopping, "OnStop")
	deadline, ok := ctx.Deadline()
	assert.True(t, ok)
	assert.WithinDuration(t, time.Now().Add(stopTimeout), deadline, stopTimeout/2)

	dead := kill(t, pids[0])
	c.eventually("the dead worker reaped", func() bool { return len(c.pids()) == 1 })
	assert.True(t, reaped(dead))
	conn := harness.Dial(t, c.addr)
	conn.SendRequest("ping", 1)
	conn.WantPong("1")
	conn.Close()

	c.on(func() {
		c.Supervisor.started, c.overdue = false, true
		c.announce() // it is too late for that

		for i := range c.slots {
			slot := &c.slots[i]
			if slot.worker == nil { // the pause before its replacement is over
				c.spawn(slot)
				assert.Nil(t, slot.worker)
				continue
			}
			slot.state = slotStarting // as if its ready byte came only now
			c.onReady(slot, slot.worker, nil)
			assert.Equal(t, slotStarting, slot.state)
		}
		c.setServing(false) // a gap is nobody's business any more
	})
	assert.Empty(t, c.serving)
	assert.Empty(t, c.started)
	assert.NoError(t, ctx.Err())
	close(release)
	assert.NoError(t, c.wait())
	assert.Len(t, c.spawned(), 2, "no replacement")
	assert.ErrorIs(t, ctx.Err(), context.Canceled)
}

// A ready byte that was on its way when its worker died is not its successor's.
func TestSupervisorLateReadyByteOfADeadWorker(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	var old *Worker
	c.on(func() { old = c.slots[0].worker })
	c.play("hang")
	kill(t, pid)
	c.eventually("a successor", func() bool { return c.slots[0].worker != nil && c.slots[0].worker != old })
	c.on(func() {
		c.onReady(&c.slots[0], old, nil)
		assert.Equal(t, slotStarting, c.slots[0].state)
		c.onReady(&c.slots[0], old, assert.AnError)
		assert.NotNil(t, c.slots[0].worker, "not killed for its predecessor")
		c.onWord(&c.slots[0], old, saysDrained)
		assert.Equal(t, slotStarting, c.slots[0].state)
	})
	assert.Len(t, c.pauses(), 1)
}

// An OnStop that hangs, and doesn't look at its context either. Without
// workers, so that it can run beside other tests.
func TestSupervisorOnStopThatHangs(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	defer close(hang)
	listener, _, err := Listen("127.0.0.1", "0")
	require.NoError(t, err)
	s := Supervisor{Grace: time.Minute, OnStop: func(context.Context) { <-hang }}
	stop, ended := make(chan os.Signal, 1), make(chan error, 1)
	go func() { ended <- s.Run(listener, stop) }()
	began := time.Now()
	stop <- syscall.SIGTERM
	assert.NoError(t, receive(t, ended, "the supervisor's end"))
	assert.GreaterOrEqual(t, time.Since(began), stopTimeout)
}

// The second signal doesn't wait for anything.
func TestSupervisorSecondSignal(t *testing.T) {
	for _, c := range []struct {
		name   string
		onStop func(stopping chan<- bool, canceled chan<- error) func(context.Context)
	}{
		{"while workers end", func(stopping chan<- bool, canceled chan<- error) func(context.Context) {
			return func(context.Context) { stopping <- true }
		}},
		{"while OnStop waits", func(stopping chan<- bool, canceled chan<- error) func(context.Context) {
			return func(ctx context.Context) {
				stopping <- true
				<-ctx.Done()
				canceled <- ctx.Err()
			}
		}},
		{"while OnStop hangs", func(stopping chan<- bool, canceled chan<- error) func(context.Context) {
			return func(context.Context) {
				stopping <- true
				select {}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			crew := newCrew(t, 2, "deaf")
			crew.Grace = time.Hour
			stopping, canceled := make(chan bool, 1), make(chan error, 1)
			crew.OnStop = c.onStop(stopping, canceled)

			crew.runUntilReady()
			crew.stop <- syscall.SIGTERM
			receive(t, stopping, "OnStop")
			if c.name == "while workers end" {
				crew.eventually("the workers told", func() bool { return crew.phase == draining })
			}

			assert.Empty(t, crew.ended)
			crew.stop <- syscall.SIGINT
			assert.NoError(t, crew.wait())
			if c.name == "while OnStop waits" {
				assert.ErrorIs(t, receive(t, canceled, "the end of the context"), context.Canceled)
			}
		})
	}
}

// Neither one that doesn't hear SIGTERM nor one that is stopped outlives the
// grace period.
func TestSupervisorKillsAfterTheGracePeriod(t *testing.T) {
	for _, part := range []string{"deaf", "serve"} {
		t.Run(part, func(t *testing.T) {
			c := newCrew(t, 1, part)
			c.Grace = 200 * time.Millisecond
			pid := c.runUntilReady()[0]
			if part == "serve" {
				require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
			}
			began := time.Now()
			c.stop <- syscall.SIGTERM
			assert.NoError(t, c.wait())
			assert.GreaterOrEqual(t, time.Since(began), c.Grace)
			assert.True(t, reaped(pid))
		})
	}
}

// While a worker doesn't accept any more and isn't gone yet, callers are
// refused, not left hanging.
func TestSupervisorRefusesWhileWorkersEnd(t *testing.T) {
	c := newCrew(t, 1, "deaf")
	c.runUntilReady()
	c.stop <- syscall.SIGTERM
	harness.Eventually(t, patience, "connections refused", func() (bool, string) {
		conn, err := net.DialTimeout("tcp", c.addr, patience)
		if err == nil {
			conn.Close()
			return false, "connected"
		}
		return true, ""
	})
	assert.Empty(t, c.ended, "the worker is still there")
}

// Those who have connected, and whom nobody has accepted yet, are not cut off
// by the master: its workers have a moment to take them.
func TestSupervisorLeavesTheQueueToItsWorkers(t *testing.T) {
	c := newCrew(t, 1, "deaf")
	c.runUntilReady()
	began := time.Now()
	var listener int
	c.on(func() {
		listener = c.listener
		c.drain()
		assert.GreaterOrEqual(t, c.listener, 0, "the socket is open, just after the workers were told")
	})
	c.eventually("the socket closed", func() bool { return c.listener < 0 })
	assert.GreaterOrEqual(t, time.Since(began), refuseDelay, "and was for a moment more")
	c.on(c.kill)
	assert.NoError(t, c.wait())
	_, err := unix.FcntlInt(uintptr(listener), unix.F_GETFD, 0)
	assert.ErrorIs(t, err, unix.EBADF)
}

// The socket is closed early only in a stop, and only when the last worker has
// taken what was queued.
func TestSupervisorWaitsForTheLastWorkerToDrain(t *testing.T) {
	c := newCrew(t, 2, "deaf")
	c.runUntilReady()
	c.on(func() {
		a, b := &c.slots[0], &c.slots[1]
		c.onWord(a, a.worker, saysDrained)
		c.onWord(b, b.worker, saysDrained)
		assert.GreaterOrEqual(t, c.listener, 0, "they retire, and others follow")

		a.state, b.state = slotReady, slotReady
		c.drain()
		c.onWord(a, a.worker, saysDrained)
		assert.GreaterOrEqual(t, c.listener, 0, "the other one accepts")
		c.onWord(b, b.worker, saysDrained)
		assert.Less(t, c.listener, 0)
		c.kill()
	})
	assert.NoError(t, c.wait())
}

// Giving up means now: what hangs is killed, and a signal that comes meanwhile
// changes nothing.
func TestSupervisorGivesUpAtOnce(t *testing.T) {
	for signals := range 3 {
		c := newCrew(t, 1, "deaf")
		c.runUntilReady()
		c.on(func() {
			c.proven, c.slots[0].failures = false, maxStarts // as if it had never been ready
			hanging := c.slots[0].worker
			c.slots = append(c.slots, slot{failures: maxStarts - 1})
			c.Supervisor.ended(&c.slots[1], errors.New("worker 1 died as well"))
			assert.Same(t, hanging, c.slots[0].worker, "killed, and not reaped yet")
			for range signals {
				c.Supervisor.stop(unix.SIGTERM)
			}
		})
		assert.ErrorIs(t, c.wait(), ErrNeverReady)
	}
}

// SIGTERM to the whole group: the workers hear it, too, and serve on.
func TestSupervisorStopOfTheWholeGroup(t *testing.T) {
	c := newCrew(t, 2, "serve")
	stopping, release := make(chan bool, 1), make(chan struct{})
	c.OnStop = func(context.Context) {
		stopping <- true
		<-release
	}

	pids := c.runUntilReady()
	for _, pid := range pids {
		require.NoError(t, unix.Kill(pid, unix.SIGTERM))
	}
	c.stop <- syscall.SIGTERM
	receive(t, stopping, "OnStop")

	passed := make(chan bool, 1)
	c.after(2*wishDelay, func() { passed <- true })
	receive(t, passed, "the time for the workers' wishes")
	for range 10 {
		conn := harness.Dial(t, c.addr)
		conn.SendRequest("ping", 1)
		conn.WantPong("1")
		conn.Close()
	}

	close(release)
	assert.NoError(t, c.wait())
	assert.Empty(t, c.pauses())
}

// A terminal that is closed sends SIGHUP more than once. That is no impatience.
func TestSupervisorHangupNeverForces(t *testing.T) {
	c := newCrew(t, 1, "serve")
	c.Grace = time.Hour
	var stops atomic.Int32
	c.OnStop = func(context.Context) { stops.Add(1) }

	c.runUntilReady()
	half, other := harness.Dial(t, c.addr), harness.Dial(t, c.addr)
	frame := harness.Frame(harness.Request("ping", 1))
	for _, conn := range []*harness.Conn{half, other} {
		conn.Send(frame) // so that it isn't in the queue
		conn.WantPong("1")
		conn.Send(frame[:9])
	}

	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGHUP} {
		c.stop <- sig
	}
	c.eventually("the workers told", func() bool { return c.phase == draining && len(c.stop) == 0 })
	half.Send(frame[9:])
	half.WantPong("1")
	assert.Empty(t, c.ended, "there is another one to finish")
	c.stop <- syscall.SIGTERM // the second one
	assert.NoError(t, c.wait())
	assert.EqualValues(t, 1, stops.Load())
}

// Workers that have nothing to finish say so, and nobody waits for a timer, nor
// for one that has died.
func TestSupervisorStopsAtOnceWhenAllHaveDrained(t *testing.T) {
	quickest := time.Hour
	for range 10 {
		c := newCrew(t, 2, "serve")
		stopping, release := make(chan bool, 1), make(chan struct{})
		c.OnStop = func(context.Context) {
			stopping <- true
			<-release
		}
		pids := c.runUntilReady()
		c.stop <- syscall.SIGTERM
		receive(t, stopping, "OnStop")
		kill(t, pids[0])
		c.eventually("the dead worker reaped", func() bool { return len(c.pids()) == 1 })

		began := time.Now()
		close(release)
		assert.NoError(t, c.wait())
		quickest = min(quickest, time.Since(began))
	}
	assert.Less(t, quickest, refuseDelay)
}
