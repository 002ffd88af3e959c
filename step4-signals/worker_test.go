// The test binary as its own worker: a supervisor under test starts its own
// executable again, which is this one. Here it plays the part that the test
// asks for at that moment.

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// patience is how long a test waits for what should happen soon.
const patience = 20 * time.Second

// What a test tells the workers, in the environment.
const (
	partVar = "SUPERVISE_TEST_PART" // what to play
	bookVar = "SUPERVISE_TEST_BOOK" // file in which every worker writes its pid and when it began
)

// Returns at once in a test process. In a process that a test has started for
// a part it never returns. The specification's TestMain knows nothing of parts,
// so it has to be here that the part takes over.
func init() {
	part := os.Getenv(partVar)
	if part == "" {
		return
	}
	if !IsWorker() { // with no part to play it would run the tests, which start it again, and so on
		must(errors.New("started without the mark of a worker"))
	}

	book, err := os.OpenFile(os.Getenv(bookVar), os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = fmt.Fprintln(book, os.Getpid(), time.Now().UnixNano())
	must(err)

	switch part {
	case "serve": // as a worker should
		must(serve())
	case "die": // before it is ready
		os.Exit(1)
	case "hang": // and never be ready
		waitForMaster()
	case "leave": // when it is ready, though nobody told it to
		must(say(saysReady))
	case "deaf": // be ready, and not hear that it is to end
		must(say(saysReady))
		for parent := os.Getppid(); os.Getppid() == parent; {
			time.Sleep(10 * time.Millisecond)
		}
	default:
		panic("no such part: " + part)
	}
	os.Exit(0)
}

// serve is what the program's workers do, without its flags and worker.go: so
// that these tests fit every program that has this supervisor.
func serve() error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	wishes := make(chan os.Signal, 1)
	signal.Notify(wishes, syscall.SIGTERM)

	poller, err := NewPoller()
	if err != nil {
		return err
	}
	loop, err := NewLoop(poller)
	if err != nil {
		return err
	}

	service := NewService()
	_, err = NewServer(loop, listenerFD, func(c *Conn, body []byte) { c.Reply(service.Answer(body)) })
	if err != nil {
		return err
	}
	return RunWorker(loop, wishes, time.Minute)
}

// waitForMaster returns when the master says something, or has gone.
func waitForMaster() {
	_, _ = unix.Read(lifelineFD, make([]byte, 1))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "in a process that a test has started:", err)
		os.Exit(4)
	}
}

// A crew is a Supervisor under test, with workers that play a part.
type crew struct {
	Supervisor
	t    testing.TB
	addr string
	book string
	stop chan os.Signal

	// What it did.
	ended   chan error // what Run returned
	started chan []int // what OnStart was told
	serving chan bool  // what OnServing was told
	log     func() string
	hanging *Worker // the last one that unready gave up
}

// newCrew returns a Supervisor that doesn't run yet. A test may set its
// fields, but for OnStart and OnServing.
func newCrew(t testing.TB, workers int, part string) *crew {
	t.Helper()
	c := &crew{
		t: t, book: t.TempDir() + "/book", stop: make(chan os.Signal, 2), ended: make(chan error, 1),
		started: make(chan []int, 100), serving: make(chan bool, 100), log: harness.CaptureLog(t),
	}
	require.NoError(t, os.WriteFile(c.book, nil, 0o600))
	t.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector, a process would end a second late
	t.Setenv(bookVar, c.book)
	c.play(part)
	c.Supervisor = Supervisor{
		Workers:   workers,
		Grace:     time.Minute,
		OnStart:   func(pids []int) { c.started <- pids },
		OnServing: func(serving bool) { c.serving <- serving },
		OnStop:    func(context.Context) {},
	}
	return c
}

// play says what part the workers that are started from now on have.
func (c *crew) play(part string) {
	c.t.Helper()
	c.t.Setenv(partVar, part)
}

// run runs the Supervisor, which must end with the test, and its workers with
// it.
func (c *crew) run() {
	c.t.Helper()
	listener, addr, err := Listen("127.0.0.1", "0")
	require.NoError(c.t, err)
	c.addr = addr.String()
	go func() { c.ended <- c.Run(listener, c.stop) }()
	c.t.Cleanup(func() {
		for range 2 {
			select {
			case c.stop <- syscall.SIGTERM:
			default:
			}
		}
		_ = c.wait()
		for _, w := range c.spawned() {
			assert.True(c.t, reaped(w.pid), "worker %d is left", w.pid)
		}
	})
}

// runUntilReady returns the pids of the workers when all are ready.
func (c *crew) runUntilReady() (pids []int) {
	c.t.Helper()
	c.run()
	return receive(c.t, c.started, "OnStart")
}

// wait returns what Run returned.
func (c *crew) wait() error {
	c.t.Helper()
	err := receive(c.t, c.ended, "the supervisor's end")
	c.ended <- err // for the next to ask
	return err
}

// on runs f on Run's goroutine. Workers must have been ready before.
func (c *crew) on(f func()) {
	c.t.Helper()
	done := make(chan bool, 1)
	c.post(func() { f(); done <- true })
	receive(c.t, done, "the supervisor")
}

// eventually waits until a condition, asked on Run's goroutine, holds.
func (c *crew) eventually(what string, condition func() bool) {
	c.t.Helper()
	harness.Eventually(c.t, patience, what, func() (ok bool, got string) {
		c.on(func() { ok, got = condition(), fmt.Sprintf("%+v", c.slots) })
		return ok, got
	})
}

// waitReady waits until all workers are ready and none of those is among them.
func (c *crew) waitReady(except ...int) (pids []int) {
	c.t.Helper()
	c.eventually("all workers ready", func() bool {
		pids = c.pids()
		return len(pids) == c.Workers && !slices.ContainsFunc(pids, func(pid int) bool {
			return slices.Contains(except, pid)
		})
	})
	return pids
}

// A birth is a line in the book.
type birth struct {
	pid int
	at  time.Time
}

// spawned returns the workers that ever began.
func (c *crew) spawned() (births []birth) {
	c.t.Helper()
	text, err := os.ReadFile(c.book)
	require.NoError(c.t, err)
	for line := range strings.Lines(string(text)) {
		pid, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		ns, err := strconv.ParseInt(at, 10, 64)
		require.NoError(c.t, err)
		births = append(births, birth{atoi(pid), time.Unix(0, ns)})
	}
	return births
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// reaped reports whether there is no such process any more, not even a zombie.
func reaped(pid int) bool { return unix.Kill(pid, 0) == unix.ESRCH }

// zombie reports whether that child of ours is dead, and not reaped. It needs
// /proc.
func zombie(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, fields, _ := strings.Cut(string(stat), ") ") // behind the name
	return strings.HasPrefix(fields, "Z")
}

// kill kills a worker and returns its number.
func kill(t testing.TB, pid int) int {
	t.Helper()
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	return pid
}

// receive returns the next of what comes out of a channel.
func receive[T any](t testing.TB, from <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		require.FailNow(t, "waited in vain for "+what)
	}
	return value
}
