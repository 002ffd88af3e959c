// Tests of prefork: what a worker is given, and how it and its master learn of
// each other.

//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// patience is how long a test waits for what should happen soon.
const patience = 20 * time.Second

func TestSpawnPassesTheListenerAndTwoPipesAndNothingElse(t *testing.T) {
	c := newCrew(t, "report")
	secret, err := os.Create(t.TempDir() + "/secret") // something else of the master's
	require.NoError(t, err)
	defer secret.Close()
	given := inheritable() // by whoever started the tests
	c.spawnReady()
	found := c.found()

	want := slices.Compact(slices.Sorted(slices.Values(append(given, 0, 1, 2, listenerFD, lifelineFD, readyFD))))
	assert.Equal(t, want, found.Inherited)
	assert.Equal(t, c.addr, found.Address, "3 is the listener")
	assert.Equal(t, map[int]int{3: unix.O_RDWR, 4: unix.O_RDONLY, 5: unix.O_WRONLY}, found.Mode)
	assert.False(t, found.Blocking[listenerFD])
	assert.Equal(t, os.Args, found.Args)
}

func TestIsWorkerKeepsWhatItInheritedToItself(t *testing.T) {
	given := inheritable()
	c := newCrew(t, "report")
	high, err := unix.FcntlInt(uintptr(c.listener), unix.F_DUPFD, 300) // as a shell may pass on
	require.NoError(t, err)
	defer unix.Close(high)

	c.spawnReady()
	found := c.found()
	assert.Contains(t, found.Inherited, high)
	assert.True(t, found.Worker)
	assert.False(t, found.Marked, "a program that a worker starts is no worker")
	assert.False(t, found.Again)
	for fd := listenerFD; fd <= readyFD; fd++ {
		assert.NotContains(t, found.Passed, fd)
	}
	assert.Subset(t, append(given, 0, 1, 2), found.Passed)
	assert.False(t, IsWorker(), "this process was not started by Spawn")
}

// A test binary that is started as a worker, but not for a part, refuses: it
// would run all tests, which start it again, and so on.
func TestTheTestBinaryIsNoForkBomb(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.list=.")
	cmd.Env = append(os.Environ(), workerMark+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 3, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(out), "test binary")
}

func TestWaitReady(t *testing.T) {
	t.Run("ready", func(t *testing.T) {
		c := newCrew(t, "serve")
		c.spawnReady()
		conn := harness.Dial(t, c.addr)
		conn.SendRequest("ping", 1)
		conn.WantPong("1")
	})
	t.Run("died before", func(t *testing.T) {
		c := newCrew(t, "die")
		w := c.spawn()
		assert.EqualError(t, w.WaitReady(patience), "worker "+itoa(w.PID)+" ended before it was ready")
		assert.Equal(t, "exit 1", c.wantEnd(w))
	})
	t.Run("died before, beside others that hang", func(t *testing.T) {
		c := newCrew(t, "hang")
		c.spawn() // it must not hold the other's pipe open
		t.Setenv(partVar, "die")
		w := c.spawn()
		t.Setenv(partVar, "hang")
		c.spawn()
		assert.ErrorContains(t, w.WaitReady(patience), "ended before it was ready")
	})
	t.Run("not in time", func(t *testing.T) {
		c := newCrew(t, "hang")
		w := c.spawn()
		began := time.Now()
		assert.EqualError(t, w.WaitReady(50*time.Millisecond), "worker "+itoa(w.PID)+" was not ready within 50ms")
		assert.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
		assert.NoError(t, unix.Kill(w.PID, 0), "what to do with it is the caller's business")
	})
}

// A container with a quota of three processors on a machine with 64 gets three
// workers.
func TestDefaultWorkersAreAsManyAsGoMayUse(t *testing.T) {
	before := runtime.GOMAXPROCS(runtime.NumCPU() + 3)
	defer runtime.GOMAXPROCS(before)
	assert.Equal(t, runtime.NumCPU()+3, DefaultWorkers())
	assert.Equal(t, runtime.NumCPU()+3, DefaultWorkers(), "to ask changes nothing")
}

func TestSpawnLeavesNoDescriptors(t *testing.T) {
	c := newCrew(t, "serve")
	before := openFDs()
	for range 3 {
		c.spawnReady().Close()
	}
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{strings.Repeat("x", 4<<20)} // more than any kernel takes
	_, err := Spawn(c.listener)
	assert.ErrorContains(t, err, "start a worker from "+executable())
	assert.ErrorIs(t, err, unix.E2BIG)
	assert.Equal(t, before, openFDs())
}

// Nor when there is no descriptor left for its pipes, or for one of them.
func TestSpawnWithoutDescriptors(t *testing.T) {
	c := newCrew(t, "serve")
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	limit := old
	limit.Cur = uint64(slices.Max(openFDs()) + 8)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	defer func() { assert.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()

	var taken []int
	for {
		fd, err := unix.FcntlInt(uintptr(c.listener), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}

	for free, want := range map[int]string{1: "make the lifeline", 3: "make the ready pipe"} {
		for _, fd := range taken[:free] {
			require.NoError(t, unix.Close(fd))
		}
		before := openFDs()
		_, err := Spawn(c.listener)
		assert.ErrorContains(t, err, want)
		assert.ErrorIs(t, err, unix.EMFILE)
		assert.Equal(t, before, openFDs())
		for range free {
			_, err := unix.FcntlInt(uintptr(c.listener), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
		}
	}
	for _, fd := range taken {
		require.NoError(t, unix.Close(fd))
	}
}

// The listener's flags are shared with the workers. If it blocked, even for a
// moment, a worker that loses the race for a connection would be stuck.
func TestSpawnNeverMakesTheListenerBlock(t *testing.T) {
	c := newCrew(t, "serve")
	spawned, looks, blocking := make(chan struct{}), 0, 0
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			flags, _ := unix.FcntlInt(uintptr(c.listener), unix.F_GETFL, 0)
			looks++
			if flags&unix.O_NONBLOCK == 0 {
				blocking++
			}
			select {
			case <-spawned:
				return
			default:
			}
		}
	})
	for range 3 {
		c.spawnReady()
	}
	close(spawned)
	looking.Wait()
	assert.Zero(t, blocking, "of %d looks", looks)
}

// The master is gone, however it went: its end of the lifeline closes.
func TestWorkersEndWithTheirMaster(t *testing.T) {
	c := newCrew(t, "serve")
	a, b := c.spawnReady(), c.spawnReady()
	half := c.halfARequest()
	a.Close()
	b.Close()
	harness.Eventually(t, patience, "one idle worker gone", func() (bool, string) {
		return c.ended(a) || c.ended(b), "both run"
	})
	assert.False(t, c.ended(a) && c.ended(b), "one has something to finish")
	c.finish(half)
	assert.Equal(t, "exit 0", c.wantEnd(a))
	assert.Equal(t, "exit 0", c.wantEnd(b))
}

func TestWorkerEndsWhenToldTo(t *testing.T) {
	c := newCrew(t, "serve")
	w, sibling := c.spawnReady(), c.spawnReady()
	half := c.halfARequest()
	w.Tell(wordRetire)
	sibling.Tell(wordRetire)
	assert.Equal(t, byte(saysDrained), hear(t, w))
	assert.Equal(t, byte(saysDrained), hear(t, sibling))
	harness.Dial(t, c.addr) // the socket is there for others
	c.finish(half)
	assert.Equal(t, "exit 0", c.wantEnd(w))
	assert.Equal(t, "exit 0", c.wantEnd(sibling))
}

// hear returns the next word of a worker.
func hear(t *testing.T, w *Worker) byte {
	t.Helper()
	_ = w.ready.SetReadDeadline(time.Now().Add(patience))
	word, err := w.Hear()
	require.NoError(t, err)
	return word
}

// SIGTERM to a worker is a wish that its master decides about: it may have
// come to the whole group.
func TestWorkerPassesAWishOn(t *testing.T) {
	c := newCrew(t, "serve")
	w := c.spawnReady()
	for range 2 {
		require.NoError(t, unix.Kill(w.PID, unix.SIGTERM))
		assert.Equal(t, byte(saysWish), hear(t, w))
		conn := harness.Dial(t, c.addr)
		conn.SendRequest("ping", "still here")
		conn.WantPong(`"still here"`)
		conn.Close()
	}
	w.Tell(wordRetire)
	assert.Equal(t, "exit 0", c.wantEnd(w))
}

// Ctrl-C and a terminal that is closed reach the whole group. Only the master
// is to act on that.
func TestWorkerServesOnAfterInterruptAndHangup(t *testing.T) {
	c := newCrew(t, "serve")
	w := c.spawnReady()
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGHUP} {
		require.NoError(t, unix.Kill(w.PID, sig))
	}
	conn := harness.Dial(t, c.addr)
	conn.SendRequest("ping", "still here")
	conn.WantPong(`"still here"`)
	conn.Close()
	w.Tell(wordRetire)
	assert.Equal(t, "exit 0", c.wantEnd(w))
}

// After the first word a worker needs no other. However many come, it sees that
// its master has gone.
func TestWorkerToldManyTimesSeesItsMasterGo(t *testing.T) {
	c := newCrew(t, "serve")
	w := c.spawnReady()
	half := c.halfARequest()
	for range 5 {
		w.Tell(wordRetire)
	}
	assert.Equal(t, byte(saysDrained), hear(t, w))

	w.Close()
	harness.Eventually(t, patience, "the socket shut down", func() (bool, string) {
		conn, err := net.DialTimeout("tcp", c.addr, patience)
		if err == nil {
			conn.Close()
			return false, "connected"
		}
		return true, ""
	})
	assert.False(t, c.ended(w), "it has something to finish")
	c.finish(half)
	assert.Equal(t, "exit 0", c.wantEnd(w))
}

// When all are told to stop, the master shuts the socket down. It may die
// before that, and a sibling may be stopped: then the port must not stay open
// with nobody to accept.
func TestWorkerSeesToThePortIfItsMasterDiesInAStop(t *testing.T) {
	for _, busy := range []bool{false, true} {
		c := newCrew(t, "serve")
		w := c.spawnReady()
		half := c.halfARequest()
		sibling := c.spawnReady()
		require.NoError(t, unix.Kill(sibling.PID, unix.SIGSTOP))
		if !busy {
			half.Close()
		}

		w.Tell(wordStop)
		sibling.Tell(wordStop)
		assert.Equal(t, byte(saysDrained), hear(t, w))
		assert.False(t, c.ended(w), "it waits for the end of the lifeline")

		conn := harness.Dial(t, c.addr) // waits in the queue, where nobody will take it
		_ = unix.Close(c.listener)      // as the master's death does
		w.Close()
		sibling.Close()
		_, err := conn.TryReply()
		assert.ErrorIs(t, err, unix.ECONNRESET)

		if busy {
			c.finish(half)
		}
		assert.Equal(t, "exit 0", c.wantEnd(w))
		assert.False(t, c.ended(sibling))
	}
}

// A master that has said the word may hang: at the end of the grace period the
// port is closed all the same.
func TestWorkerSeesToThePortIfItsMasterHangsInAStop(t *testing.T) {
	c := newCrew(t, "serve")
	t.Setenv(graceVar, itoa(100))
	w := c.spawnReady()
	w.Tell(wordStop)
	assert.Equal(t, "exit 0", c.wantEnd(w))
	c.wantRefused()
}

// wantRefused connects, and must not get through, although this test holds the
// listening socket, as a master or a sibling does that hangs.
func (c *crew) wantRefused() {
	c.t.Helper()
	conn, err := net.DialTimeout("tcp", c.addr, patience)
	if err == nil {
		conn.Close()
	}
	require.ErrorIs(c.t, err, unix.ECONNREFUSED)
}

// The word and the end of the lifeline may come at once, to a worker that has
// nothing to do. It sees to the port, whichever it reads first.
func TestWorkerSeesToThePortIfTheWordIsTheMastersLast(t *testing.T) {
	for _, word := range []byte{wordStop, wordRetire, 0} {
		t.Run(fmt.Sprintf("%q", word), func(t *testing.T) {
			for range 8 {
				c := newCrew(t, "serve")
				w := c.spawnReady()
				require.NoError(t, unix.Kill(w.PID, unix.SIGSTOP))
				if word != 0 {
					w.Tell(word)
				}
				w.Close()
				require.NoError(t, unix.Kill(w.PID, unix.SIGCONT))
				assert.Equal(t, "exit 0", c.wantEnd(w))
				c.wantRefused()
			}
		})
	}
}

// The same in the worst order: the worker was told to retire, and hears that
// its master is gone when its loop takes no more work.
func TestWorkerSeesToThePortIfItsMasterDiesWhileItDrains(t *testing.T) {
	c := newCrew(t, "serve, and hear that the master is gone only while it drains")
	w := c.spawnReady()
	w.Tell(wordRetire)
	assert.Equal(t, byte(saysDrained), hear(t, w))
	w.Close()
	assert.Equal(t, "exit 0", c.wantEnd(w))
	c.wantRefused()
}

// A master that is stopped doesn't listen, and the ready pipe fills up.
func TestWorkerDoesntWaitForAMasterThatDoesntListen(t *testing.T) {
	harness.NeedProc(t)
	c := newCrew(t, "serve")
	w := c.spawnReady()
	pipe, err := unix.Open(fmt.Sprintf("/proc/%d/fd/%d", w.PID, readyFD), unix.O_WRONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	for err == nil {
		_, err = unix.Write(pipe, make([]byte, unix.Getpagesize()))
	}
	require.ErrorIs(t, err, unix.EAGAIN)
	require.NoError(t, unix.Close(pipe))

	require.NoError(t, unix.Kill(w.PID, unix.SIGTERM)) // which it tells its master
	w.Tell(wordRetire)
	assert.Equal(t, "exit 0", c.wantEnd(w))
}

// Clients have taken all its descriptors: it needs no more for its end.
func TestWorkerEndsWithoutDescriptorsWhenToldTo(t *testing.T) {
	harness.NeedProc(t)
	c := newCrew(t, "serve with 64 descriptors")
	w := c.spawnReady()
	var crowd []*harness.Conn
	for range 100 {
		crowd = append(crowd, harness.Dial(t, c.addr))
	}
	harness.Eventually(t, patience, "no descriptor left", func() (bool, string) {
		open := harness.Descriptors(t, w.PID)
		for fd := range 64 {
			if open[fd] == "" {
				return false, fmt.Sprintf("%d is free", fd)
			}
		}
		return true, ""
	})
	w.Tell(wordRetire)
	crowd[0].WantEOF()
	assert.Equal(t, "exit 0", c.wantEnd(w))
}

func TestWorkerGivesUpAfterTheGracePeriod(t *testing.T) {
	const grace = 100
	for _, how := range []string{"told to", "master gone"} {
		t.Run(how, func(t *testing.T) {
			c := newCrew(t, "serve")
			t.Setenv(graceVar, itoa(grace))
			w := c.spawnReady()
			c.halfARequest()

			began := time.Now()
			if how == "told to" {
				w.Tell(wordRetire)
			} else {
				w.Close()
			}

			assert.Equal(t, "exit 1", c.wantEnd(w))
			assert.GreaterOrEqual(t, time.Since(began), grace*time.Millisecond)
			log, err := os.ReadFile(c.report)
			require.NoError(t, err)
			assert.Contains(t, string(log), "gives up")
		})
	}
}

// After a rebuild the new file must not be started under the old master.
func TestSpawnStartsTheRunningProgramThoughItsFileWasReplaced(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc/self/exe")
	}
	program := t.TempDir() + "/program"
	copyFile(t, os.Args[0], program)
	m := startMaster(t, program, "spawn when told")
	m.wantLine("up")
	require.NoError(t, os.WriteFile(program+".new", []byte("#!/bin/sh\nexit 9\n"), 0o700))
	require.NoError(t, os.Rename(program+".new", program))
	m.tell()
	m.wantLine("worker ready")
}

// Nobody uses the Prefork any more once the workers are started. If it were
// collected, its end of the lifeline would be closed, and the workers would
// end.
func TestMasterHoldsTheLifelineUntilItsEnd(t *testing.T) {
	m := startMaster(t, os.Args[0], "master, with garbage collections when told")
	address := strings.TrimPrefix(m.wantLine("listening on"), "listening on ")
	m.wantLine("master")
	conn := harness.Dial(t, address)
	for range 10 {
		m.tell()
		m.wantLine("collected")
		conn.SendRequest("ping", 1)
		conn.WantPong("1") // a worker that is ending would close the connection
	}
	harness.Dial(t, address)
}
