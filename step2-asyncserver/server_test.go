// Tests of the server: how it listens and accepts.

//go:build unix

package main

import (
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

func TestListen(t *testing.T) {
	fd, addr, err := Listen("127.0.0.1", "0")
	require.NoError(t, err)
	defer unix.Close(fd)
	assert.NotZero(t, addr.Port)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err)
	assert.NotZero(t, flags&unix.O_NONBLOCK, "accept must not block")
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	assert.NotZero(t, flags&unix.FD_CLOEXEC, "not for programs that we start")

	_, _, err = Listen("127.0.0.1", strconv.Itoa(addr.Port))
	assert.ErrorIs(t, err, unix.EADDRINUSE)
	_, _, err = Listen("127.0.0.1", "no such port")
	assert.Error(t, err)

	before := fdsInUse()
	again, _, err := Listen("127.0.0.1", "0")
	require.NoError(t, err)
	require.NoError(t, unix.Close(again))
	assert.Equal(t, before, fdsInUse(), "one descriptor, not two")
}

func TestDuplicateOfAClosedListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	fd, err := duplicate(ln.(*net.TCPListener))
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.Negative(t, fd, "a number that is no descriptor")
}

// A worker that is ready but deaf would be worse than none: it must not become
// ready.
func TestServerNotWatchedIsAnError(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		r := newRig(t, p)
		r.start()
		listener, _, err := Listen("127.0.0.1", "0")
		require.NoError(t, err)
		defer unix.Close(listener)
		r.on(func() {
			r.poller.refuse = func(fd int) error { return unix.ENOSPC }
			_, err = NewServer(r.Loop, listener, func(*Conn, []byte) {})
			r.poller.refuse = nil
		})
		assert.ErrorIs(t, err, unix.ENOSPC)
		assert.ErrorContains(t, err, "accept connections")
	})
}

// The same after a pause: then it tries again, and is not deaf for ever.
func TestServerNotWatchedAfterAPause(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		log := harness.CaptureLog(t)
		served := s.dial()
		s.ping(served)
		tries := 0
		s.on(func() {
			s.poller.refuse = func(fd int) error {
				if fd != s.server.listener {
					return nil
				}
				tries++
				return unix.ENOMEM
			}
			s.server.rest(-1)
			s.server.resume()
		})
		waiting := s.dial()
		s.ping(served)
		s.wantSleep()
		s.eventually("another try", func() bool { return tries >= 5 }) // each is two calls
		assert.Contains(t, log(), unix.ENOMEM.Error())

		s.on(func() { s.poller.refuse = nil })
		s.ping(waiting)
	})
}

func TestServerSetsItsConnectionsUp(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		s.ping(s.dial())
		conn := s.conn()
		s.on(func() {
			flags, _ := unix.FcntlInt(uintptr(conn.fd), unix.F_GETFL, 0)
			assert.NotZero(t, flags&unix.O_NONBLOCK)
			flags, _ = unix.FcntlInt(uintptr(conn.fd), unix.F_GETFD, 0)
			assert.NotZero(t, flags&unix.FD_CLOEXEC)
			noDelay, _ := unix.GetsockoptInt(conn.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
			assert.NotZero(t, noDelay)
		})
	})
}

func TestSpreadPauseGrowsWithTheConnectionsHeld(t *testing.T) {
	log := harness.CaptureLog(t)
	assert.Zero(t, SpreadPause(0, nil))
	assert.Equal(t, 20*time.Microsecond, SpreadPause(1, nil))
	assert.Equal(t, 100*time.Microsecond, SpreadPause(5, nil))

	var storm time.Duration // of 10,000 connections on two workers
	for held := range 5000 {
		pause := SpreadPause(held, nil)
		assert.LessOrEqual(t, pause, 2*time.Millisecond)
		storm += pause
	}
	assert.Less(t, storm, time.Second)
	assert.Empty(t, log())

	assert.GreaterOrEqual(t, SpreadPause(1, unix.EMFILE), 10*time.Millisecond)
	assert.Contains(t, log(), unix.EMFILE.Error())
}

// Two servers on one socket take one connection each, and leave the next to
// the other while they pause.
func TestServerPausesAfterEachAccept(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		a := newServing(t, p)
		listener, err := unix.FcntlInt(uintptr(a.server.listener), unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		q, err := NewPoller()
		require.NoError(t, err)
		b := newServingOn(t, q, listener, a.addr)

		pauses := make(chan int, 100)
		resume := make(chan struct{})
		for _, s := range []*serving{a, b} {
			s.server.Pause = func(held int, err error) time.Duration {
				pauses <- held
				go func() { // ends the pause
					<-resume
					s.Post(func() {
						for i := range s.timers {
							s.timers[i].when = time.Now()
						}
					})
				}()
				return time.Hour
			}
			s.start()
		}
		defer close(resume)

		first, second, third := a.dial(), a.dial(), a.dial()
		a.wantConns(1)
		b.wantConns(1)
		a.wantSleep() // though the third is waiting
		b.wantSleep()
		a.wantConns(1)
		b.wantConns(1)
		assert.Equal(t, 1, receive(t, pauses))
		assert.Equal(t, 1, receive(t, pauses))

		a.ping(first)
		a.ping(second)
		third.WantSilence()
		resume <- struct{}{}
		a.ping(third)
		assert.Equal(t, 2, receive(t, pauses))
	})
}

// A pause that replaces another lasts until its own end.
func TestServerRest(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		s.on(func() {
			s.server.rest(time.Hour)
			s.server.rest(-1)
			assert.Empty(t, s.timers)
		})
		waiting := s.dial()
		waiting.WantSilence()
		s.on(func() {
			s.server.rest(time.Hour)
			s.server.resume()
			assert.Empty(t, s.timers)
		})
		s.ping(waiting)
	})
}

// A turn was long, and many are waiting: as many are accepted at once as would
// have been in short turns, and no more than a bounded number.
func TestServerCatchesUpAfterALongTurn(t *testing.T) {
	for _, c := range []struct {
		lastTurn, pause time.Duration
		want            int
	}{
		{0, time.Millisecond, 1},
		{longTurn - 1, time.Nanosecond, 1},
		{longTurn, longTurn - 1, 2},
		{100 * time.Millisecond, 30 * time.Millisecond, 4},
		{10 * time.Second, time.Millisecond, maxAccepts},
		{10 * time.Second, time.Hour, 1},
		{10 * time.Second, -1, 1},
	} {
		eachPoller(t, func(t *testing.T, p Poller) {
			s := newServing(t, p)
			s.server.Pause = func(int, error) time.Duration { return c.pause }
			s.start()
			s.on(func() { s.server.rest(-1) })
			for range maxAccepts + 2 {
				s.dial()
			}
			s.on(func() {
				s.lastTurn = c.lastTurn
				s.server.acceptSome()
				assert.Len(t, s.server.conns, c.want, "after a turn of %v, with a pause of %v", c.lastTurn, c.pause)
			})
		})
	}
}

// accept fails for want of descriptors, and the listener stays ready: that must
// not make the loop spin, and must be over when there are descriptors again.
func TestServerOutOfDescriptors(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		harness.CaptureLog(t)
		s := newServing(t, p)
		var failed atomic.Int64
		pause := s.server.Pause
		s.server.Pause = func(held int, err error) time.Duration {
			if err != nil {
				assert.ErrorIs(t, err, unix.EMFILE)
				failed.Add(1)
			}
			return pause(held, err)
		}
		s.start()
		served := s.dial()
		s.ping(served)
		s.on(func() { s.server.rest(-1) })
		waiting := s.dial() // the kernel accepts it

		restore := noMoreDescriptors(t)
		defer restore()
		turns := s.poller.waits.Load()
		s.on(s.server.resume)
		harness.Eventually(t, patience, "two tries", func() (bool, string) {
			return failed.Load() >= 2, fmt.Sprint(failed.Load())
		})
		assert.Less(t, s.poller.waits.Load()-turns, int64(30))
		s.ping(served)
		restore()
		s.ping(waiting)
		s.wantConns(2)
	})
}

// noMoreDescriptors makes every attempt to open one fail until restore is
// called.
func noMoreDescriptors(t testing.TB) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	limit := before
	// Not less: poll(2) refuses to look at more descriptors than the limit. And
	// fill up to it, because the lowest free number is the next.
	limit.Cur = 64

	var filled []int
	for fd := 0; fd < int(limit.Cur); {
		var err error
		fd, err = unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		filled = append(filled, fd)
	}

	restored := false
	restore = func() {
		if restored {
			return
		}
		restored = true
		assert.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
		for _, fd := range filled {
			_ = unix.Close(fd)
		}
	}

	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	return restore
}

func TestServerLeavesNothingBehind(t *testing.T) {
	before := fdsInUse()
	eachServing(t, func(t *testing.T, s *serving) {
		for i := range 40 {
			c := s.dial()
			switch i % 4 {
			case 0:
				c.Send(pings(1)[:10])
			case 1:
				s.ping(c)
			case 2:
				conn := s.later(c)
				defer s.on(func() { conn.Reply(NewReply("late", 1)) }) // who has left in peace may still read
			case 3:
				c.Send(pings(1000))
			}

			if i%8 < 4 {
				c.Reset()
			} else {
				c.Close()
			}
		}
	})
	assert.Equal(t, before, fdsInUse())
}
