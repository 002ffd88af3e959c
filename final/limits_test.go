// Tests of limits: how many connections a worker takes, and what it does when
// it can take none.

//go:build unix

package rpc

import (
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

func TestNoLimitsCostNothing(t *testing.T) {
	w := startInside(t, Limits{}, nil)
	w.ping(w.dial())
	w.eventually("no timer", func() bool { return len(w.timers) == 0 })
}

func TestMaxConns(t *testing.T) {
	w := startInside(t, Limits{MaxConns: 2}, nil)
	first, second := w.dial(), w.dial()
	w.ping(first)
	w.ping(second)
	var queue []*harness.Conn
	for i := range 3 {
		c := w.dial() // the kernel takes it
		c.SendRequest("ping", i)
		queue = append(queue, c)
	}
	w.wantSleep()
	w.wantConns(2)
	queue[0].WantSilence()
	w.ping(first)
	w.on(func() { assert.Empty(t, w.timers, "it waits for a close, and looks for nothing meanwhile") })

	second.Close()
	queue[0].WantPong("0") // there is room for one
	w.wantConns(2)
	queue[1].WantSilence()
	first.Close()
	queue[0].Close()
	queue[1].WantPong("1")
	queue[2].WantPong("2")
	w.wantConns(2)
	queue[1].Close()
	queue[2].Close()
	w.wantConns(0)
	w.ping(w.dial())
}

// A full worker that comes to its end serves the queue, too: nobody else might.
func TestMaxConnsAtTheEnd(t *testing.T) {
	w := startInside(t, Limits{MaxConns: 1}, nil)
	first := w.dial()
	w.ping(first)
	queued := w.dial()
	queued.SendRequest("ping", 1)
	w.Drain()
	queued.WantPong("1")
	queued.WantEOF()
	queued.Close()
	first.WantEOF()
	first.Close()
	w.wantEnd()
}

// Room that comes after the listener was closed must not open it again.
func TestMaxConnsRoomAtTheEnd(t *testing.T) {
	l := &lab{}
	w := startInside(t, Limits{MaxConns: 2}, l.methods())
	busy, idle := w.dial(), w.dial()
	busy.SendRequest("compute", 1)
	w.ping(idle)
	w.wantConns(2)

	w.Drain()
	idle.WantEOF()
	idle.Close()
	w.wantConns(1) // there is room

	w.on(func() {
		assert.NotContains(t, w.watches, -1)
		l.finish = true
	})
	busy.WantReply("computed", "1")
}

// The pause that spreads connections over workers is still there.
func TestLimitsKeepTheSpreadPause(t *testing.T) {
	lim := &limiter{Limits: Limits{MaxConns: 10}}
	for held := range 10 {
		assert.Equal(t, SpreadPause(held, nil), lim.pause(held, nil))
	}
}

func TestOutOfDescriptors(t *testing.T) {
	log := harness.CaptureLog(t)
	w := startInside(t, Limits{}, nil)
	served := w.dial()
	w.ping(served)

	tries := 0
	w.on(func() {
		pause := w.server.Pause
		w.server.Pause = func(held int, err error) time.Duration {
			if err != nil {
				tries++
			}
			return pause(held, err)
		}
		w.server.rest(-1)
	})

	waiting := w.dial() // the kernel takes it
	restore := noMoreDescriptors(t)
	defer restore()
	before := w.waits.Load()
	w.on(w.server.resume)
	w.eventually("three tries", func() bool { return tries >= 3 })
	assert.Less(t, w.waits.Load()-before, int64(300), "it spins") // most of these are the test's own
	w.wantSleep()
	w.ping(served)
	assert.Equal(t, 1, strings.Count(log(), "\n"), log())
	assert.Contains(t, log(), "out of file descriptors")

	restore()
	w.ping(waiting)
	w.wantConns(2)
	assert.Equal(t, 1, strings.Count(log(), "\n"), log())
}

// noMoreDescriptors makes every attempt to open one fail until restore is
// called.
func noMoreDescriptors(t testing.TB) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	limit := before
	limit.Cur = 256

	var filled []int
	for fd := 0; fd < int(limit.Cur); {
		var err error
		fd, err = unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0) // the lowest that is free
		require.NoError(t, err)
		filled = append(filled, fd)
	}

	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	done := false
	return func() {
		if !done {
			done = true
			assert.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
			for _, fd := range filled {
				_ = unix.Close(fd)
			}
		}
	}
}

// What was counted of a connection is taken off when it closes, and a closed
// connection holds nothing that could be counted again.
func TestClosedConnectionCountsForNothing(t *testing.T) {
	w := startInside(t, Limits{MaxUnfinished: 64 << 20}, nil)
	client := w.dial()
	client.Send(harness.Frame(harness.Request("ping", strings.Repeat("x", 1_000_000)))[:900_000])
	w.eventually("what has come of the request, counted", func() bool {
		return w.server.limits.unfinished >= 900_000-chunkSize
	})

	var conn *Conn
	w.on(func() {
		for c := range w.server.conns {
			conn = c
		}
	})
	client.Close()
	w.wantConns(0)
	w.on(func() {
		assert.Zero(t, w.server.limits.unfinished, "bytes counted")
		assert.Zero(t, conn.progress.held, "bytes counted of this connection")
		assert.Zero(t, cap(conn.decoder.kept), "bytes held")
	})
}

// A peer takes its replies when its kernel has acknowledged some of them since
// the last look, whether or not we could write any.
func TestTakesReplies(t *testing.T) {
	w := startInside(t, Limits{}, nil)
	client, err := net.Dial("tcp", w.addr)
	require.NoError(t, err)
	defer client.Close()
	w.wantConns(1)

	var conn *Conn
	w.on(func() {
		for c := range w.server.conns {
			conn = c
		}
		for err == nil { // until the buffers of both kernels are full
			_, err = unix.Write(conn.fd, make([]byte, 64<<10))
		}
	})
	require.ErrorIs(t, err, unix.EAGAIN)

	w.eventually("replies that nobody acknowledges any more", func() bool {
		before := conn.progress.unacked
		return !conn.takesReplies() && conn.progress.unacked == before && before > 0
	})
	w.on(func() { assert.False(t, conn.takesReplies(), "a peer that reads nothing") })

	_, err = io.ReadFull(client, make([]byte, 1<<20))
	require.NoError(t, err)
	w.eventually("a peer that takes its replies", conn.takesReplies)
}
