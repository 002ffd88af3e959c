// What the tests of the loop, the connections and the server stand on: a loop
// that runs while the test looks at it, on each poller, and must end without
// leaving anything behind.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// A countingPoller knows how often the loop woke up, and may refuse to watch.
type countingPoller struct {
	Poller
	waits  atomic.Int64
	refuse func(fd int) error
}

func (p *countingPoller) Set(fd int, mask Events) error {
	if p.refuse != nil {
		if err := p.refuse(fd); err != nil {
			return err
		}
	}
	return p.Poller.Set(fd, mask)
}

func (p *countingPoller) Wait(timeout time.Duration) ([]Event, error) {
	p.waits.Add(1)
	return p.Poller.Wait(timeout)
}

// A rig is a loop under test.
type rig struct {
	*Loop
	t      testing.TB
	poller *countingPoller
	ended  chan error  // what Run returned
	pipes  []*testPipe // to be hung up when the loop has ended
}

// newRig returns a loop that doesn't run yet: its methods belong to the test.
func newRig(t testing.TB, p Poller) *rig {
	t.Helper()
	counting := &countingPoller{Poller: p}
	loop, err := NewLoop(counting)
	require.NoError(t, err)
	r := &rig{Loop: loop, t: t, poller: counting, ended: make(chan error, 1)}
	t.Cleanup(func() {
		for _, p := range r.pipes {
			p.hangUp()
		}
	})
	return r
}

// newPipe returns a pipe whose r belongs to the loop, like all that it watches.
func (r *rig) newPipe() *testPipe {
	r.t.Helper()
	p := openPipe(r.t)
	r.pipes = append(r.pipes, p)
	return p
}

// start runs the loop. At the end of the test it must drain, without what the
// test left watched.
func (r *rig) start() {
	go func() { r.ended <- r.Run() }()
	r.t.Cleanup(func() {
		r.Post(func() {
			for fd := range r.watches {
				if fd != r.wakeR && len(r.onDrain) == 0 {
					r.CloseFD(fd)
				}
			}
		})
		r.Drain()
		r.wantEnd()
	})
}

// wantEnd waits for Run to return.
func (r *rig) wantEnd() {
	r.t.Helper()
	select {
	case err := <-r.ended:
		assert.NoError(r.t, err)
		r.ended <- nil // for the next to ask
	case <-time.After(patience):
		require.FailNow(r.t, "the loop does not end")
	}
}

// on runs f on the loop's goroutine, and returns when it has run. f must not
// fail the test: that belongs to the test's own goroutine.
func (r *rig) on(f func()) {
	r.t.Helper()
	done := make(chan struct{})
	r.Post(func() { defer close(done); f() })
	r.wait(done, "the loop to turn")
}

// receive returns the next of what comes out of a channel.
func receive[T any](t testing.TB, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		require.FailNow(t, "waited in vain for a message from the loop")
	}
	return value
}

func (r *rig) wait(done <-chan struct{}, what string) {
	r.t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(r.t, "waited in vain for "+what)
	}
}

// eventually waits until a condition, asked on the loop's goroutine, holds.
func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	harness.Eventually(r.t, patience, what, func() (ok bool, got string) {
		r.on(func() { ok = condition() })
		return ok, "not yet"
	})
}

// wantSleep waits until the loop sleeps: until it woke up a few times at most
// in 10 ms. A loop that spins turns hundreds of times.
func (r *rig) wantSleep() {
	r.t.Helper()
	harness.Eventually(r.t, patience/4, "a loop that sleeps", func() (bool, string) {
		before, fired := r.poller.waits.Load(), make(chan struct{})
		r.on(func() { r.AfterFunc(10*time.Millisecond, func() { close(fired) }) })
		r.wait(fired, "a timer")
		n := r.poller.waits.Load() - before
		return n <= 5, fmt.Sprintf("%d turns in 10 ms", n)
	})
}

// timeIsUp has all timers called now.
func (r *rig) timeIsUp() {
	r.t.Helper()
	r.on(func() {
		for _, timer := range r.timers {
			timer.when = time.Now()
		}
	})
	r.on(func() {})
}

// block keeps the loop from turning until release is called.
func (r *rig) block() (release func()) {
	r.t.Helper()
	blocked, released := make(chan struct{}), make(chan struct{})
	r.Post(func() {
		close(blocked)
		<-released
	})
	r.wait(blocked, "the loop to turn")
	release = sync.OnceFunc(func() { close(released) })
	r.t.Cleanup(release)
	return release
}

// fdsInUse returns the numbers of this process's open descriptors.
func fdsInUse() map[int]bool {
	open := map[int]bool{}
	for fd := range 4096 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
			open[fd] = true
		}
	}
	return open
}
