// Tests of supervision: workers that die are replaced, sooner or later, and
// what is known of whether anybody serves.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// pauses returns the pauses before a replacement that the log tells of.
func (c *crew) pauses() (pauses []string) {
	for _, found := range regexp.MustCompile(`"replaced in"=(\S+)`).FindAllStringSubmatch(c.log(), -1) {
		pauses = append(pauses, found[1])
	}
	return pauses
}

// waitPauses waits until n workers have ended.
func (c *crew) waitPauses(n int) []string {
	c.t.Helper()
	harness.Eventually(c.t, patience, fmt.Sprintf("%d workers ended", n), func() (bool, string) {
		return len(c.pauses()) >= n, c.log()
	})
	return c.pauses()[:n]
}

func TestSupervisorStartsAndReplaces(t *testing.T) {
	c := newCrew(t, 2, "serve")
	first := c.runUntilReady()
	assert.Len(t, first, 2)
	assert.True(t, receive(t, c.serving, "OnServing"))

	dead := kill(t, first[0])
	pids := c.waitReady(dead)
	assert.Contains(t, pids, first[1], "the other one was left alone")
	assert.True(t, reaped(dead))
	assert.Equal(t, []string{"0s"}, c.pauses())
	assert.Contains(t, c.log(), fmt.Sprintf("worker %d was killed by signal 9", dead))
	assert.Empty(t, c.started, "OnStart is for the first time only")
	assert.Empty(t, c.serving, "somebody served all the time")

	conn := harness.Dial(t, c.addr)
	conn.SendRequest("ping", 1)
	conn.WantPong("1")
}

// One SIGCHLD may stand for many deaths. Here it must: nobody takes it while
// they die.
func TestSupervisorReapsSixteenDeathsAtOnce(t *testing.T) {
	harness.NeedProc(t)
	c := newCrew(t, 16, "serve")
	old := c.runUntilReady()
	zombies := 0
	c.on(func() {
		for _, pid := range old {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for deadline := time.Now().Add(patience); zombies < len(old) && time.Now().Before(deadline); {
			zombies = len(slices.DeleteFunc(slices.Clone(old), func(pid int) bool { return !zombie(pid) }))
		}
	})
	require.Equal(t, 16, zombies)
	c.waitReady(old...)
	for _, pid := range old {
		assert.True(t, reaped(pid))
	}
}

// Another part of the program may have children, too, and wait for them.
func TestSupervisorLeavesOthersChildrenAlone(t *testing.T) {
	harness.NeedProc(t)
	c := newCrew(t, 1, "serve")
	worker := c.runUntilReady()[0]
	other := exec.Command("sh", "-c", "exit 7")
	require.NoError(t, other.Start())
	harness.Eventually(t, patience, "a zombie", func() (bool, string) {
		return zombie(other.Process.Pid), "none"
	})
	c.waitReady(kill(t, worker)) // it has reaped now
	err := other.Wait()
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v", err)
	assert.Equal(t, 7, exit.ExitCode())
}

func TestSupervisorBacksOff(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	c.play("die")
	kill(t, pid)
	assert.Equal(t, []string{"0s", "100ms", "200ms", "400ms"}, c.waitPauses(4))
	births := c.spawned()[1:] // without the one that served
	require.GreaterOrEqual(t, len(births), 3)
	for i, pause := range []time.Duration{100, 200} {
		assert.GreaterOrEqual(t, births[i+1].at.Sub(births[i].at), pause*time.Millisecond)
	}
	c.on(func() { c.slots[0].failures = 100 })
	assert.Equal(t, "5s", c.waitPauses(5)[4], "the most")

	// An end while a worker waits to be replaced.
	c.stop <- syscall.SIGTERM
	assert.NoError(t, c.wait())
	assert.Len(t, c.pauses(), 5)
}

func TestSupervisorForgivesAfterALongLife(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	const long = stablePeriod + time.Second
	age := func(d time.Duration) {
		c.on(func() {
			c.slots[0].started = c.slots[0].started.Add(-d)
			c.slots[0].failures = 1
		})
	}
	age(0)
	pid = c.waitReady(kill(t, pid))[0]
	age(stablePeriod / 2)
	pid = c.waitReady(kill(t, pid))[0]
	age(long)
	pid = c.waitReady(kill(t, pid))[0]
	assert.Equal(t, []string{"100ms", "100ms", "0s"}, c.pauses())

	// A long time of not being ready is not a long life.
	c.play("hang")
	kill(t, pid)
	var hanging int
	c.eventually("a worker that hangs", func() bool {
		if w := c.slots[0].worker; w != nil && w.PID != pid {
			hanging = w.PID
		}
		return hanging != 0
	})
	age(long)
	c.play("serve")
	kill(t, hanging)
	assert.Equal(t, "100ms", c.waitPauses(5)[4])
}

func TestSupervisorNeverReady(t *testing.T) {
	c := newCrew(t, 2, "die")
	began := time.Now()
	c.run()
	err := c.wait()
	assert.ErrorIs(t, err, ErrNeverReady)
	assert.Regexp(t, `worker \d+ exited with status 1`, err.Error())
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.GreaterOrEqual(t, len(c.spawned()), 2*maxStarts)
	assert.Empty(t, c.serving)
	assert.Empty(t, c.started)
	_, err = net.DialTimeout("tcp", c.addr, patience)
	assert.ErrorIs(t, err, unix.ECONNREFUSED)
}

// unready waits for another worker that hangs, and makes the supervisor
// believe that it has done so for the whole start timeout.
func (c *crew) unready() {
	c.t.Helper()
	c.eventually("another worker that hangs", func() bool {
		w := c.slots[0].worker
		if w == nil || w == c.hanging || c.slots[0].accepts() {
			return false
		}
		c.hanging = w
		c.onReady(&c.slots[0], w, fmt.Errorf("worker %d was not ready within 5s", w.PID))
		return true
	})
}

func TestSupervisorTakesAWorkerThatHangsForDead(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	c.play("hang")
	kill(t, pid)
	c.unready()
	c.unready()
	c.play("serve")
	c.waitReady()
	assert.Contains(t, c.log(), "was not ready within 5s")
	assert.Equal(t, []string{"0s", "100ms", "200ms"}, c.pauses())
}

// The same when none has ever been ready: three tries, and no more.
func TestSupervisorGivesUpOnWorkersThatHang(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	c.on(func() { c.proven = false }) // as if it had never been
	c.play("hang")
	kill(t, pid)
	c.unready()
	c.unready()
	err := c.wait()
	assert.ErrorIs(t, err, ErrNeverReady)
	assert.Contains(t, err.Error(), "killed")
	assert.Len(t, c.pauses(), maxStarts)
}

// Nor when they can't even be started.
func TestSupervisorWorkersThatCantBeStarted(t *testing.T) {
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{strings.Repeat("x", 4<<20)} // more than any kernel takes
	c := newCrew(t, 2, "serve")
	c.run()
	err := c.wait()
	assert.ErrorIs(t, err, ErrNeverReady)
	assert.ErrorIs(t, err, unix.E2BIG)
	assert.Len(t, c.pauses(), 2*maxStarts)
}

// Another part of the program may wait for any child, and so for a worker, too.
func TestSupervisorReplacesAWorkerThatOthersHaveReaped(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	c.on(func() {
		c.slots[0].state = slotRetiring // as it was told; but did it end well?
		kill(t, pid)
		_, err := unix.Wait4(pid, nil, 0, nil)
		assert.NoError(t, err)
	})
	c.waitReady(pid)
	assert.Contains(t, c.log(), "somebody else has reaped it")
}

// Told to end, and killed before it could.
func TestSupervisorBlamesARetiringWorkerThatIsKilled(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	c.on(func() {
		c.slots[0].state = slotRetiring
		c.onWord(&c.slots[0], c.slots[0].worker, saysWish)
		assert.Equal(t, slotRetiring, c.slots[0].state, "it was told already")
		kill(t, pid)
	})
	c.waitReady(pid)
	assert.Contains(t, c.log(), fmt.Sprintf("worker %d was killed by signal 9", pid))
}

// A second in which nobody serves is told, and that somebody does again. What
// goes on in between, workers that die as soon as they start, changes nothing.
func TestSupervisorOnServing(t *testing.T) {
	c := newCrew(t, 2, "serve")
	pids := c.runUntilReady()
	assert.True(t, receive(t, c.serving, "OnServing"))

	for _, pid := range pids {
		kill(t, pid)
	}
	began := time.Now()
	pids = c.waitReady(pids...)
	gap := time.Since(began)

	passed := make(chan bool, 1)
	c.after(quietPeriod+100*time.Millisecond, func() { passed <- true })
	receive(t, passed, "a second")
	if gap < quietPeriod { // it isn't on a machine that is very busy
		assert.Empty(t, c.serving, "replaced within the second: that is nobody's business")
	}

	for _, pid := range pids {
		kill(t, pid)
	}
	pids = c.waitReady(pids...) // another short gap, just before the long one
	for len(c.serving) > 0 {
		<-c.serving
	}

	c.play("die")
	began = time.Now()
	for _, pid := range pids {
		kill(t, pid)
	}

	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // keeps the deaths frequent: one after another in less than a second
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				c.on(func() {
					for i := range c.slots {
						c.slots[i].failures = min(c.slots[i].failures, 2)
					}
				})
			}
		}
	}()

	serving := receive(t, c.serving, "OnServing(false), in spite of a crash loop")
	took := time.Since(began)
	close(stop)
	<-done
	assert.False(t, serving)
	assert.GreaterOrEqual(t, took, quietPeriod, "a gap of less than a second is none")

	c.play("serve")
	assert.True(t, receive(t, c.serving, "OnServing(true)"))
	c.waitReady()
	assert.Empty(t, c.serving)
	assert.True(t, slices.Contains(c.pauses(), "100ms"))
}

// One that never becomes ready doesn't keep the others from being announced.
func TestSupervisorAnnouncesThoseThatAreReady(t *testing.T) {
	c := newCrew(t, 2, "hang")
	c.run()
	harness.Eventually(t, patience, "two workers started", func() (bool, string) { return len(c.spawned()) == 2, "" })

	c.play("serve")
	first, second := c.spawned()[0].pid, c.spawned()[1].pid
	kill(t, first)
	c.eventually("one worker ready", func() bool { return len(c.pids()) == 1 })
	assert.Empty(t, c.started)

	pids := receive(t, c.started, "OnStart")
	assert.Len(t, pids, 1)
	assert.NotContains(t, pids, second)
	assert.Contains(t, c.log(), "fewer workers than asked for")

	c.waitReady(second) // it was taken for dead by now
	assert.Empty(t, c.started, "once is enough")
}

// SIGTERM to one worker, which it passes on. It might have been sent to all, so
// the supervisor first waits for its own.
func TestSupervisorRetiresAWorkerThatIsToldToEnd(t *testing.T) {
	c := newCrew(t, 2, "serve")
	pids := c.runUntilReady()
	began := time.Now()
	require.NoError(t, unix.Kill(pids[0], unix.SIGTERM))
	c.eventually("the worker told to retire", func() bool {
		w := c.slots[0].worker
		return w == nil || w.PID != pids[0] || c.slots[0].state >= slotRetiring
	})
	assert.GreaterOrEqual(t, time.Since(began), wishDelay)
	assert.Contains(t, c.waitReady(pids[0]), pids[1])
	assert.Contains(t, c.log(), fmt.Sprintf("worker retired\" pid=%d", pids[0]))
}

// Workers that are told to end one after the other, as in a rolling restart,
// and end well: that is no crash loop, and each is replaced at once.
func TestSupervisorDoesntHoldAnEndAsToldAgainstAWorker(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	for range 3 {
		require.NoError(t, unix.Kill(pid, unix.SIGTERM))
		pid = c.waitReady(pid)[0]
	}
	assert.Equal(t, []string{"0s", "0s", "0s"}, c.pauses())
	assert.NotContains(t, c.log(), "WARN")

	kill(t, pid)
	pid = c.waitReady(pid)[0]
	kill(t, pid)
	c.waitReady(pid)
	assert.Equal(t, []string{"0s", "100ms"}, c.waitPauses(5)[3:], "what was a crash still counts")
}

// Nor is it forgiven what went before: a crash, an end as told, a crash.
func TestSupervisorRemembersACrashThroughAnEndAsTold(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.waitReady(kill(t, c.runUntilReady()[0]))[0]
	require.NoError(t, unix.Kill(pid, unix.SIGTERM))
	pid = c.waitReady(pid)[0]
	kill(t, pid)
	assert.Equal(t, []string{"0s", "0s", "100ms"}, c.waitPauses(3))
}

// Nobody told them to: that the exit code is 0 doesn't help.
func TestSupervisorBacksOffFromWorkersThatEndByThemselves(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	c.play("leave")
	kill(t, pid)
	assert.Equal(t, []string{"0s", "100ms", "200ms"}, c.waitPauses(3))
	assert.Contains(t, c.log(), "exited with status 0")
}

// A worker that is told to end may have a long call to finish. It accepts
// nobody meanwhile: so it doesn't count as one that serves.
func TestSupervisorDoesntCountAWorkerThatFinishes(t *testing.T) {
	c := newCrew(t, 1, "serve")
	pid := c.runUntilReady()[0]
	assert.True(t, receive(t, c.serving, "OnServing"))
	conn := harness.Dial(t, c.addr)
	conn.Send(harness.Frame(harness.Request("ping", 1))[:9])

	began := time.Now()
	require.NoError(t, unix.Kill(pid, unix.SIGTERM))
	assert.False(t, receive(t, c.serving, "OnServing(false)"))
	assert.GreaterOrEqual(t, time.Since(began), quietPeriod)
	assert.Less(t, time.Since(began), 5*quietPeriod)
	c.on(func() { assert.Empty(t, c.pids()) })
	assert.False(t, reaped(pid), "it has something to finish")

	conn.Close()
	c.waitReady(pid)
	assert.True(t, receive(t, c.serving, "OnServing(true)"))
	assert.Empty(t, c.serving)
}
