// Tests of work posted to the loop: from anywhere, at any time, and none lost.

//go:build unix

package main

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestLoopPostFromManyGoroutines(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		const goroutines, posts = 8, 500
		var next [goroutines]int // touched by the loop's goroutine alone, so without a lock
		sum, done := 0, make(chan struct{})
		var senders sync.WaitGroup
		r.start()
		for g := range goroutines {
			senders.Go(func() {
				for i := range posts {
					r.Post(func() {
						if next[g] != i {
							t.Errorf("goroutine %d: post %d came when %d was due", g, i, next[g])
						}
						next[g]++
						sum++
						if sum == goroutines*posts {
							close(done)
						}
					})
				}
			})
		}
		senders.Wait()
		r.wait(done, "all posts")
		r.wantSleep()
	})
}

// Post belongs to the loop's own functions as well: to a posted one, a timer's
// and a descriptor's. None may get lost while the loop goes to sleep.
func TestLoopPostFromTheLoop(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		r.start()
		done, left := make(chan struct{}), 100
		var again func()
		again = func() {
			left--
			if left == 0 {
				close(done)
				return
			}
			r.Post(again)
		}
		r.Post(again)
		r.wait(done, "a chain of posts")

		done = make(chan struct{})
		r.on(func() { r.AfterFunc(time.Millisecond, func() { r.Post(func() { close(done) }) }) })
		r.wait(done, "a timer's post")

		done = make(chan struct{})
		pipe := r.newPipe()
		pipe.put(t)
		r.on(func() {
			r.Watch(pipe.r, Readable, func(Events) {
				r.CloseFD(pipe.r)
				r.Post(func() { close(done) })
			})
		})
		r.wait(done, "a descriptor's post")
		r.wantSleep()
	})
}

// What posts itself again and again runs once a turn: the loop looks at its
// descriptors and timers in between.
func TestLoopPostStarvesNobody(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		pipe := r.newPipe()
		runs, stop := 0, false
		var again func()
		again = func() {
			runs++
			if !stop {
				r.Post(again)
			}
		}

		read, timer := make(chan int, 100), make(chan int, 1)
		r.Watch(pipe.r, Readable, func(Events) {
			pipe.take(t)
			read <- runs
		})

		r.start()
		r.on(func() {
			r.Post(again)
			r.AfterFunc(time.Millisecond, func() { timer <- runs })
		})

		receive(t, timer)
		var put int
		r.on(func() { put = runs; pipe.put(t) })
		assert.LessOrEqual(t, receive(t, read), put+3)
		r.on(func() { stop = true; r.CloseFD(pipe.r) })
		r.wantSleep()
	})
}

// Once Run has returned, the loop's pipe is closed, and its number may belong
// to somebody else: a late Post must not write there.
func TestLoopPostAfterRun(t *testing.T) {
	eachLoop(t, func(t *testing.T, r *rig) {
		r.start()
		r.Drain()
		r.wantEnd()

		other := newTestPipe(t)
		for fd := 0; fd < 100; { // fill every gap: one of these has the number
			var err error
			fd, err = unix.Dup(other.w)
			require.NoError(t, err)
			defer unix.Close(fd)
		}

		for range 3 {
			r.Post(func() { t.Error("called after Run") })
			r.Drain()
		}
		_, err := unix.Read(other.r, make([]byte, 1))
		assert.ErrorIs(t, err, unix.EAGAIN, "Post wrote into a stranger's pipe")
		assert.Empty(t, r.posted, "it is kept for nobody")
	})
}
