// Tests of the pollers that only Linux can run: epoll joins the suite, twice.

//go:build linux

package main

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func init() {
	pollers["epoll"] = NewEpollPoller
	pollers["epoll before Linux 5.11"] = func() (Poller, error) {
		p, err := NewEpollPoller()
		p.(*epollPoller).coarse = true
		return p, err
	}
}

// The pause between two accepts is 20 µs: with epoll_wait's timeout it would be
// fifty times as long, and a storm of connections slow.
func TestEpollWaitsForLessThanAMillisecond(t *testing.T) {
	p, err := NewEpollPoller()
	require.NoError(t, err)
	defer p.Close()

	inTime := 0
	for range 1000 { // most of them may be late, on a busy machine
		began := time.Now()
		_, err := p.Wait(20 * time.Microsecond)
		require.NoError(t, err)
		if time.Since(began) < 900*time.Microsecond {
			inTime++
		}
		if inTime == 50 { // not only a few that a signal ended early
			return
		}
	}

	if p.(*epollPoller).coarse {
		t.Skip("this kernel has no epoll_pwait2")
	}
	assert.Fail(t, "waits for 20 µs take a millisecond", "only %d of 1000 took less", inTime)
}

// A signal ends a Wait early. That is no error, and no event either.
func TestPollerSignalIsNoError(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		pipe := newTestPipe(t)
		require.NoError(t, p.Set(pipe.r, Readable))
		pipe.put(t)
		require.Len(t, look(t, p), 1) // what could be reported once more by mistake
		pipe.take(t)

		returned, stopped := make(chan struct{}), make(chan struct{})
		go func(thread int) {
			defer close(stopped)
			for { // until one comes while the thread waits
				select {
				case <-returned:
					return
				case <-time.After(time.Millisecond):
					_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
				}
			}
		}(unix.Gettid())

		const long = 30 * time.Second
		began := time.Now()
		events, err := p.Wait(long)
		took := time.Since(began)
		close(returned)
		<-stopped

		require.NoError(t, err)
		assert.Empty(t, events)
		assert.Less(t, took, long, "no signal interrupted it")
	})
}
