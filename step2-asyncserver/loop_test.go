// Tests of the event loop, on each poller: who is called, when, and that it
// sleeps in between.

//go:build unix

package main

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// eachLoop runs the test on a loop that doesn't run yet, once per poller.
func eachLoop(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	eachPoller(t, func(t *testing.T, p Poller) { test(t, newRig(t, p)) })
}

// nobody is a ready function that must not be called.
func nobody(t testing.TB, who string) func(Events) {
	return func(Events) { t.Error("called:", who) }
}

func TestLoopWatch(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		pipe, events := r.newPipe(), make(chan Events, 100)
		take := func(ev Events) {
			pipe.take(t)
			events <- ev
		}

		r.Watch(pipe.r, Readable, nobody(t, "the function that was replaced"))
		r.Watch(pipe.r, Readable, take)
		r.start()
		r.wantSleep()

		pipe.put(t)
		pipe.put(t)
		assert.Equal(t, Readable, receive(t, events))
		assert.Equal(t, Readable, receive(t, events), "it was still readable")
		r.wantSleep()

		r.on(func() { r.Watch(pipe.r, 0, take) })
		pipe.put(t)
		r.wantSleep()
		assert.Empty(t, events, "not asked for")
		r.on(func() { r.Watch(pipe.r, Readable, take) })
		receive(t, events)

		r.on(func() {
			r.Watch(pipe.r, 0, func(ev Events) {
				events <- ev
				r.CloseFD(pipe.r)
			})
		})
		pipe.hangUp()
		assert.NotZero(t, receive(t, events)&Hangup, "reported though the mask is empty")
	})
}

// Two descriptors are ready in one batch, and the first called takes the
// second's interest away.
func TestLoopRechecksTheMaskWithinABatch(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		a, b := r.newPipe(), r.newPipe()
		a.put(t)
		b.put(t)
		calls := make(chan int, 100)
		ready := func(own, other int) func(Events) {
			return func(Events) {
				calls <- own
				r.Watch(own, 0, nobody(t, "one that wants nothing"))
				r.Watch(other, Writable, nobody(t, "one that wants something else"))
			}
		}
		r.Watch(a.r, Readable, ready(a.r, b.r))
		r.Watch(b.r, Readable, ready(b.r, a.r))
		r.start()
		receive(t, calls)
		r.wantSleep()
		assert.Empty(t, calls)
	})
}

// Two descriptors are ready in one batch, and the first called closes the
// second and opens new ones. None of those may get its number: the second's
// event would reach the new owner.
func TestLoopDescriptorIsNotReusedWithinABatch(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		a, b := r.newPipe(), r.newPipe()
		a.put(t)
		b.put(t)
		closed := make(chan int, 2)
		ready := func(own, other int) func(Events) {
			return func(Events) {
				r.CloseFD(other)
				r.Watch(own, 0, func(Events) {})
				for range 3 {
					r.Watch(r.newPipe().r, Readable, nobody(t, "the new owner of a number"))
				}
				closed <- other
			}
		}

		r.Watch(a.r, Readable, ready(a.r, b.r))
		r.Watch(b.r, Readable, ready(b.r, a.r))
		r.start()

		fd, open := receive(t, closed), true
		r.on(func() {}) // then the batch's turn is over
		r.on(func() { open = fdsInUse()[fd] })
		assert.False(t, open, "closed after the batch")
		assert.Empty(t, closed)
	})
}

func TestLoopCloseStaysOpenUntilTheEndOfTheTurn(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		r.start()
		pipe := r.newPipe()
		var before, at, after bool
		r.on(func() {
			r.Watch(pipe.r, Readable, nobody(t, "a closed one"))
			before = fdsInUse()[pipe.r]
			r.CloseFD(pipe.r)
			at = fdsInUse()[pipe.r]
		})
		r.on(func() { after = fdsInUse()[pipe.r] })
		assert.Equal(t, []bool{true, true, false}, []bool{before, at, after})
		r.wantSleep()
	})
}

func TestLoopRefusedWatch(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		pipe := r.newPipe()
		watched := len(r.watches)
		r.poller.refuse = func(int) error { return unix.ENOSPC }
		err := r.Watch(pipe.r, Readable, nobody(t, "one that isn't watched"))
		assert.ErrorIs(t, err, unix.ENOSPC)
		assert.Len(t, r.watches, watched)

		r.poller.refuse = nil
		events := make(chan Events, 1)
		require.NoError(t, r.Watch(pipe.r, Readable, func(ev Events) {
			pipe.take(t)
			events <- ev
		}))
		r.start()
		pipe.put(t)
		assert.Equal(t, Readable, receive(t, events))
	})
}

func TestLoopAfterFunc(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		const ms = time.Millisecond
		delays := []time.Duration{7 * ms, 3 * ms, 3 * ms, 0, 500 * time.Microsecond, 9 * ms, -time.Second, 7 * ms}
		order := make(chan int, 100)
		began := time.Now()
		for i, d := range delays {
			r.AfterFunc(d, func() {
				if took := time.Since(began); took < d {
					t.Errorf("%v came after %v", d, took)
				}
				order <- i
			})
		}

		nested := make(chan struct{})
		r.AfterFunc(4*ms, func() { r.AfterFunc(ms, func() { close(nested) }) })
		r.start()

		var got []int
		for range delays {
			got = append(got, receive(t, order))
		}
		assert.Equal(t, []int{6, 3, 4, 1, 2, 0, 7, 5}, got, "by time, and by age at equal times")

		r.wait(nested, "a timer that another one started")
		r.wantSleep()
		assert.Empty(t, order, "each is called once")
	})
}

func TestLoopTimerStop(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		never := func() { t.Error("called, though it was stopped") }
		fired := make(chan struct{}, 100)
		var first, second, third *Timer
		first = r.AfterFunc(time.Millisecond, func() {
			second.Stop() // which is due as well
			first.Stop()  // which has just been called
			fired <- struct{}{}
		})
		second = r.AfterFunc(time.Millisecond, never)
		third = r.AfterFunc(0, never)
		hour := r.AfterFunc(time.Hour, never)

		third.Stop()
		third.Stop()
		hour.Stop()
		(*Timer)(nil).Stop() // nobody has to remember whether there is one

		r.start()
		receive(t, fired)
		r.on(func() { assert.Empty(t, r.timers) })
		r.wantSleep()
		assert.Empty(t, fired)
	})
}

// Once called or stopped, a timer keeps nothing alive.
func TestLoopTimersHoldNothing(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		const length = 8 << 20
		before := heapInUse()
		for range 3 {
			held := make([]byte, length)
			r.AfterFunc(0, func() { held[0]++ })
			stopped := make([]byte, length)
			r.AfterFunc(time.Hour, func() { stopped[0]++ }).Stop()
		}

		r.start()
		r.on(func() {})
		r.eventually("no timer", func() bool { return len(r.timers) == 0 })
		assert.Less(t, int64(heapInUse())-int64(before), int64(length), "more bytes in use")
		runtime.KeepAlive(r)
	})
}

// However many timers are due at once, the loop looks at its descriptors in
// between.
func TestLoopManyTimersStarveNobody(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		const timers = 10 * maxTimers
		pipe, ran, read := r.newPipe(), 0, make(chan int, 1)
		require.NoError(t, r.Watch(pipe.r, Readable, func(Events) {
			pipe.take(t)
			read <- ran
		}))
		for range timers {
			r.AfterFunc(0, func() {
				ran++
				if ran == 1 {
					pipe.put(t)
				}
			})
		}
		r.start()
		assert.LessOrEqual(t, receive(t, read), maxTimers)
		r.eventually("all timers", func() bool { return ran == timers })
	})
}

// Twenty timers of 1.3 ms one after another: it wakes up for each, and not in
// between. With a wait rounded down it would spin for the 0.3 ms.
func TestLoopSleepsUntilATimerIsDue(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		const timers = 20
		left, done := timers, make(chan struct{})
		var next func()
		next = func() {
			left--
			if left == 0 {
				close(done)
				return
			}
			r.AfterFunc(1300*time.Microsecond, next)
		}
		r.AfterFunc(1300*time.Microsecond, next)
		r.start()
		r.wait(done, "the timers")
		assert.LessOrEqual(t, r.poller.waits.Load(), int64(timers+10))
	})
}

// The loop knows how long a turn took, without its sleep.
func TestLoopLastTurn(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		const long = 50 * time.Millisecond
		r.start()
		r.wantSleep()
		harness.Eventually(t, 20*time.Second, "a turn in which next to nothing was done", func() (bool, string) {
			var last time.Duration // a busy machine may make it long
			r.on(func() { last = r.lastTurn })
			return last < long, last.String()
		})
		r.on(func() { time.Sleep(long) })
		var worked time.Duration
		r.on(func() { worked = r.lastTurn })
		assert.GreaterOrEqual(t, worked, long)
	})
}

func TestLoopDrain(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		pipe := r.newPipe()
		r.Watch(pipe.r, Readable, nobody(t, "one that is not ready"))
		told := 0
		r.OnDrain(func() { told++ })
		r.OnDrain(func() { assert.Equal(t, 1, told, "called in the order in which they came"); told++ })
		r.start()

		var callers sync.WaitGroup
		for range 10 {
			callers.Go(r.Drain)
		}
		r.on(r.Drain) // on the loop's goroutine, too
		callers.Wait()

		r.on(func() {})
		r.on(func() { assert.Equal(t, 2, told, "each is called once") })
		r.wantSleep()
		assert.Empty(t, r.ended, "something is still watched")

		r.Post(func() { r.CloseFD(pipe.r) })
		r.wantEnd()
	})
}

func TestLoopEndsOnlyWhenDrained(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		r.start()
		r.wantSleep() // nothing is watched, and still somebody may Post
		assert.Empty(t, r.ended)
		r.Drain() // without an OnDrain, and with nothing watched
		r.wantEnd()
	})
	eachLoop(t, func(t *testing.T, r *rig) {
		told := false
		r.OnDrain(func() { told = true })
		r.Drain() // before Run
		r.start()
		r.wantEnd()
		assert.True(t, told)
	})
}

type brokenPoller struct{ Poller }

func (brokenPoller) Wait(time.Duration) ([]Event, error) { return nil, unix.EIO }

// A loop that can't be made takes nothing with it, and touches nothing of
// others: with no pipe, the numbers of its ends were both 0.
func TestNewLoopFails(t *testing.T) {
	// Whatever the first poller makes Go open.
	eachPoller(t, func(t *testing.T, p Poller) { require.NoError(t, p.Close()) })
	input, err := unix.FcntlInt(0, unix.F_GETFL, 0)
	require.NoError(t, err)
	before := fdsInUse()
	for name, newPoller := range pollers {
		p, err := newPoller()
		require.NoError(t, err)
		restore := noMoreDescriptors(t)
		_, err = NewLoop(p)
		restore()
		assert.ErrorIs(t, err, unix.EMFILE, name)

		p, err = newPoller()
		require.NoError(t, err)
		_, err = NewLoop(&countingPoller{Poller: p, refuse: func(int) error { return unix.ENOSPC }})
		assert.ErrorIs(t, err, unix.ENOSPC, name)
	}
	assert.Equal(t, before, fdsInUse())

	after, err := unix.FcntlInt(0, unix.F_GETFL, 0)
	require.NoError(t, err)
	assert.Equal(t, input, after, "the flags of standard input")
	flags, err := unix.FcntlInt(0, unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.Zero(t, flags&unix.FD_CLOEXEC, "the flags of standard input")
}

func TestLoopLeavesNothingBehind(t *testing.T) {
	eachPoller(t, func(*testing.T, Poller) {}) // whatever the first poller makes Go open
	before, goroutines := fdsInUse(), runtime.NumGoroutine()

	for name, newPoller := range pollers {
		for range 3 {
			p, err := newPoller()
			require.NoError(t, err)
			l, err := NewLoop(p)
			require.NoError(t, err)
			l.AfterFunc(time.Hour, func() {})
			var fds [2]int
			require.NoError(t, unix.Pipe(fds[:]))
			l.OnDrain(func() { l.CloseFD(fds[0]); l.CloseFD(fds[1]) })
			l.Watch(fds[0], Readable, nobody(t, "one that is not ready"))
			l.Drain()
			require.NoError(t, l.Run(), name)
		}

		p, err := newPoller()
		require.NoError(t, err)
		l, err := NewLoop(brokenPoller{p})
		require.NoError(t, err)
		var watched [2]int
		require.NoError(t, unix.Pipe(watched[:]))
		l.Watch(watched[0], Readable, nobody(t, "one that is not ready"))
		l.Watch(watched[1], 0, nobody(t, "one that is left alone"))
		err = l.Run()
		assert.True(t, errors.Is(err, unix.EIO), "%v", err)
		assert.ErrorContains(t, err, "wait for events")
	}

	assert.Equal(t, before, fdsInUse())
	harness.Eventually(t, patience, "as many goroutines as before", func() (bool, string) {
		return runtime.NumGoroutine() <= goroutines, string(allStacks())
	})
}

func allStacks() []byte {
	stacks := make([]byte, 1<<20)
	return stacks[:runtime.Stack(stacks, true)]
}
