// The test binary as its own worker: a master under test starts its own
// executable again, which is this one. Here it plays the part that the test
// asks for.

//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// What a test tells the processes that it starts, in the environment.
const (
	partVar   = "PREFORK_TEST_PART"   // what to play
	reportVar = "PREFORK_TEST_REPORT" // file for what the part found, and for its log
	graceVar  = "PREFORK_TEST_GRACE"
)

// A report is what a worker found when it started.
type report struct {
	Args []string

	// Around IsWorker.
	Inherited []int // descriptors that a program it starts would inherit, before it did anything
	Passed    []int // the same after IsWorker
	Worker    bool  // what IsWorker said
	Again     bool  // and when asked a second time
	Marked    bool  // whether the mark was still in its environment then

	// Its descriptors.
	Address  string
	Blocking map[int]bool // of descriptors 3 to 5
	Mode     map[int]int  // read only, write only
}

// Returns at once in a test process. In a process that a test has started for
// a part it never returns. The specification's TestMain knows nothing of parts,
// so it has to be here that the part takes over.
func init() {
	part := os.Getenv(partVar)
	if part == "" {
		return
	}

	found := report{Inherited: inheritable()}
	found.Worker = IsWorker()
	found.Again = IsWorker()
	found.Passed = inheritable()
	_, found.Marked = os.LookupEnv(workerMark)

	switch part {
	case "report":
		writeReport(&found)
		serveAsWorker()
	case "serve":
		log, err := os.Create(os.Getenv(reportVar))
		must(err)
		slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
		serveAsWorker()
	case "serve, and hear that the master is gone only while it drains":
		serveUntilGone()
	case "serve with 64 descriptors":
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}))
		serveAsWorker()
	case "die":
		os.Exit(1)
	case "hang": // until the master is gone, or says a word
		_, _ = os.NewFile(lifelineFD, "lifeline").Read(make([]byte, 1))
		os.Exit(1)
	case "spawn when told":
		spawnWhenTold()
	case "master, with garbage collections when told":
		collectWhenTold()
	default:
		panic("no such part: " + part)
	}
	os.Exit(0)
}

// inheritable returns the open descriptors that are not close-on-exec.
func inheritable() (fds []int) {
	for fd := range 4096 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	return fds
}

func writeReport(found *report) {
	found.Blocking, found.Mode = map[int]bool{}, map[int]int{}
	for fd := listenerFD; fd <= readyFD; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		must(err)
		found.Blocking[fd] = flags&unix.O_NONBLOCK == 0
		found.Mode[fd] = flags & unix.O_ACCMODE
	}

	if name, err := unix.Getsockname(listenerFD); err == nil {
		found.Address = fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	}

	found.Args = os.Args
	text, err := json.Marshal(found)
	must(err)
	must(os.WriteFile(os.Getenv(reportVar), text, 0o600))
}

// serveAsWorker is what a worker's main does.
func serveAsWorker() {
	grace := time.Minute
	if ms, err := strconv.Atoi(os.Getenv(graceVar)); err == nil {
		grace = time.Duration(ms) * time.Millisecond
	}
	err := Work(NewService(), false, grace)
	if err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

// serveUntilGone is a worker that is told to retire, and whose master dies
// while its loop drains: what RunWorker posts then, the loop never calls.
func serveUntilGone() {
	poller, err := NewPoller()
	must(err)
	loop, err := NewLoop(poller)
	must(err)
	_, err = NewServer(loop, listenerFD, func(*Conn, []byte) {})
	must(err)

	loop.OnDrain(func() {
		must(say(saysDrained)) // which it hasn't quite
		posted := 0
		for posted < 2 { // to drain, and to shut the socket down
			time.Sleep(time.Millisecond)
			loop.mu.Lock()
			posted = len(loop.posted)
			loop.mu.Unlock()
		}
	})
	must(RunWorker(loop, nil, time.Minute))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "in a process that a test has started:", err)
		os.Exit(4)
	}
}

// A crew are workers that play a part, on one listening socket.
type crew struct {
	t        testing.TB
	listener int
	addr     string
	report   string         // file
	statuses map[int]string // of workers that have ended and are reaped
}

func newCrew(t *testing.T, part string) *crew {
	t.Helper()
	listener, addr, err := Listen("127.0.0.1", "0")
	require.NoError(t, err)
	c := &crew{
		t: t, listener: listener, addr: addr.String(), report: t.TempDir() + "/report",
		statuses: map[int]string{},
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector, a process would end a second late
	t.Setenv(partVar, part)
	t.Setenv(reportVar, c.report)
	t.Cleanup(func() { _ = unix.Close(listener) })
	return c
}

// spawn starts a worker, which is killed at the end of the test at the latest.
func (c *crew) spawn() *Worker {
	c.t.Helper()
	w, err := Spawn(c.listener)
	require.NoError(c.t, err)
	c.t.Cleanup(func() {
		w.Close()
		if !c.ended(w) { // reaped, its number could be another's
			_ = unix.Kill(w.PID, unix.SIGKILL)
			c.wantEnd(w)
		}
	})
	return w
}

// spawnReady starts a worker and waits until it accepts connections.
func (c *crew) spawnReady() *Worker {
	c.t.Helper()
	w := c.spawn()
	require.NoError(c.t, w.WaitReady(patience))
	return w
}

// ended reports whether a worker has ended, and keeps how it did.
func (c *crew) ended(w *Worker) bool {
	c.t.Helper()
	if c.statuses[w.PID] != "" {
		return true
	}

	var status unix.WaitStatus
	pid, err := unix.Wait4(w.PID, &status, unix.WNOHANG, nil)
	if errors.Is(err, unix.EINTR) || err == nil && pid == 0 {
		return false
	}

	require.NoError(c.t, err)
	c.statuses[w.PID] = fmt.Sprintf("exit %d", status.ExitStatus())
	if status.Signaled() {
		c.statuses[w.PID] = status.Signal().String()
	}
	return true
}

// wantEnd waits for a worker to end, and returns how it did.
func (c *crew) wantEnd(w *Worker) string {
	c.t.Helper()
	harness.Eventually(c.t, patience, fmt.Sprintf("the end of worker %d", w.PID), func() (bool, string) {
		return c.ended(w), "it runs"
	})
	return c.statuses[w.PID]
}

// found returns what a worker with the part "report" found.
func (c *crew) found() (r report) {
	c.t.Helper()
	text, err := os.ReadFile(c.report)
	require.NoError(c.t, err)
	require.NoError(c.t, json.Unmarshal(text, &r))
	return r
}

// halfARequest connects, and sends half of one to a worker.
func (c *crew) halfARequest() *harness.Conn {
	c.t.Helper()
	conn := harness.Dial(c.t, c.addr)
	conn.SendRequest("ping", 1)
	conn.WantPong("1") // a worker has it: it is in no queue any more
	frame := harness.Frame(harness.Request("ping", "whole"))
	conn.Send(frame[:9])
	return conn
}

// finish sends the other half, which must be answered. It is the last.
func (c *crew) finish(half *harness.Conn) {
	c.t.Helper()
	half.Send(harness.Frame(harness.Request("ping", "whole"))[9:])
	half.WantPong(`"whole"`)
	half.WantEOF()
	half.Close()
}

func openFDs() (fds []int) {
	for fd := range 4096 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o700))
}

func itoa(n int) string { return strconv.Itoa(n) }
