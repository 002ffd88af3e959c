// Tests of the server's end: what has begun is finished, and nothing more.

//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// What has connected before the end is served, to the end.
func TestServerDrainAcceptsWhatIsQueued(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		release := s.block()
		var queued []*harness.Conn
		for i := range 20 {
			c := s.dial()
			c.SendRequest("ping", i)
			queued = append(queued, c)
		}

		s.Drain()
		release()
		for i, c := range queued {
			c.WantPong(fmt.Sprint(i))
			c.WantEOF()
			c.Close()
		}

		s.wantEnd()
		_, err := net.DialTimeout("tcp", s.addr, patience)
		assert.ErrorIs(t, err, unix.ECONNREFUSED)
	})
}

// Without a free descriptor nobody who waits can be taken, and somebody must
// hear of it.
func TestServerDrainWithoutDescriptors(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		log := harness.CaptureLog(t)
		s.on(func() { s.server.rest(-1) })
		s.dial() // the kernel accepts it
		restore := noMoreDescriptors(t)
		defer restore()
		s.Drain()
		s.wantEnd()
		assert.Contains(t, log(), unix.EMFILE.Error())
	})
}

func TestServerDrainEndsIdleConnections(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		fresh, used := s.dial(), s.dial()
		s.ping(used)
		s.wantConns(2)
		s.Drain()
		fresh.WantEOF()
		used.WantEOF()
		fresh.Close()
		used.Close()
		s.wantEnd()
	})
}

func TestServerDrainFinishesWhatHasBegun(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		half, late := s.dial(), s.dial()
		frame := pings(1)
		half.Send(frame[:10])
		conn := s.halfConn()
		lateConn := s.later(late)
		late.Send(pings(2))
		s.eventually("the requests behind arrived", func() bool { return unreadBytes(lateConn) == len(pings(2)) })
		s.Drain()
		s.on(func() {})
		s.wantSleep()
		half.WantSilence()
		late.WantSilence()
		assert.Equal(t, Readable, s.waits(conn), "the rest of the frame is waited for")

		half.Send(frame[10:])
		half.WantPong("0")
		half.WantEOF()
		half.Close()
		s.on(func() { lateConn.Reply(NewReply("late", 1)) })
		late.WantReply("late", "1")
		late.WantPong("0")
		late.WantPong("1")
		late.WantEOF()
		late.Close()
		s.wantEnd()
	})
}

// halfConn returns the connection on which half a frame has come.
func (s *serving) halfConn() (conn *Conn) {
	s.t.Helper()
	s.eventually("half a frame", func() bool {
		for c := range s.server.conns {
			if c.decoder.Buffered() > 0 {
				conn = c
			}
		}
		return conn != nil
	})
	return conn
}

// Half of a long frame's echo is sent: the rest must come, too.
func TestServerDrainSendsWhatIsUnsent(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dialDeaf()
		params := `"` + strings.Repeat("x", 300_000) + `"`
		c.SendFrame(`{"in":"ping","params":` + params + `}`)
		conn := s.conn()
		s.eventually("a reply that doesn't fit", func() bool { return len(conn.out) > 0 })
		s.Drain()
		s.on(func() {})
		c.WantPong(params)
		c.WantEOF()
		c.Close()
		s.wantEnd()
	})
}

// A client that never stops sending gets whole replies, and then the end.
func TestServerDrainTellsTheBusyTheEnd(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		params := `"` + strings.Repeat("x", 5000) + `"`
		frame := harness.Frame(`{"in":"ping","params":` + params + `}`)
		stop := make(chan struct{})
		go func() {
			for c.TrySend(frame) == nil {
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		defer close(stop)

		c.WantPong(params)
		s.Drain()
		var err error
		for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); {
			_, err = c.TryReply()
		}

		assert.Equal(t, io.EOF, err, "not a reset, and not inside a reply")
		c.Close()
		s.wantEnd()
	})
}

// Other workers hold the listening socket as well, so ours must be taken out of
// the poller before it is closed: it would go on being reported.
func TestServerDrainLeavesASharedListener(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		other, err := unix.FcntlInt(uintptr(s.server.listener), unix.F_DUPFD_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(other)

		c := s.dial()
		conn := s.later(c) // keeps the loop running
		s.Drain()
		s.on(func() {})

		waiting := s.dial() // in the queue of the other one
		s.wantSleep()
		s.on(func() { assert.Len(t, s.server.conns, 1) })
		waiting.WantSilence()

		s.on(func() { conn.Reply(NewReply("late", 1)) })
		c.WantReply("late", "1")
	})
}

// A pause that ends after the listener was closed must not bring it back.
func TestServerDrainDuringAPause(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		s := newServing(t, p)
		s.server.Pause = func(int, error) time.Duration { return time.Millisecond }
		s.start()

		c := s.dial()
		conn := s.later(c)
		release := s.block()
		s.Post(func() { s.server.acceptSome() })
		queued := s.dial()
		s.Drain()
		release()

		queued.WantEOF()
		passed := make(chan struct{})
		s.on(func() { s.AfterFunc(5*time.Millisecond, func() { close(passed) }) })
		s.wait(passed, "the end of the pause")
		s.on(func() { assert.NotContains(t, s.watches, -1) })

		s.on(func() { conn.Reply(NewReply("late", 1)) })
		c.WantReply("late", "1")
	})
}
