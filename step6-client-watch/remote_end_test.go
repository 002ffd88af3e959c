// More tests of one server as the client sees it: when a connection ends, or
// must not end, and that nothing is left of it then.

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// The tests that wait for silence, or see that it is harmless, take that long.

// A server may answer a long request that it has only seen the beginning of,
// and hang then. Nobody must wait for it with a lock that others need.
func TestServerThatAnswersEarlyAndHangs(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	long := begin(t, t.Context(), r, make([]byte, 8<<20)) // more than socket buffers hold
	conn := peer.accept()
	_, err := io.ReadFull(conn, make([]byte, HeaderSize))
	require.NoError(t, err)
	conn.reply("too long")
	long.wantPong("too long")
	next := begin(t, t.Context(), r, ping("next"))
	next.wantLost(false)
	harness.Eventually(t, 10*time.Second, "a server that is set aside", func() (bool, string) {
		return r.avoidUntil.Load() > 0, "it is not"
	})
}

func TestLongCallOnAnIdleConnectionComesWhole(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	first := begin(t, t.Context(), r, ping("first"))
	conn := peer.accept()
	conn.want("first")
	conn.reply("first")
	first.wantPong("first")

	frame := ping(strings.Repeat("x", 8<<20))
	got := make([]byte, len(frame)) // all that takes long before the call: it is owed a reply from then on
	long := begin(t, t.Context(), r, frame)
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(frame, got), "the request as it was sent")

	conn.reply("long")
	long.wantPong("long")
}

func TestIdleConnectionIsNotBroken(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	first := begin(t, t.Context(), r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	conn.reply("1")
	first.wantPong("1")

	time.Sleep(silence + silence/4) // the idleness
	second := begin(t, t.Context(), r, ping("2"))
	conn.want("2")
	time.Sleep(silence / 2) // counted from the call, that is not too long
	conn.reply("2")
	second.wantPong("2")
	assert.Zero(t, r.avoidUntil.Load(), "it is not set aside")
}

func TestRetiredRemoteFinishesCallsAndCloses(t *testing.T) {
	peer, r := listen(t)
	calls := []pending{begin(t, t.Context(), r, ping("1"))}
	conn := peer.accept()
	conn.want("1")
	calls = append(calls, begin(t, t.Context(), r, ping("2")))
	conn.want("2")

	r.retire()
	o := call(t.Context(), r, ping("3"))
	assert.ErrorIs(t, o.err, errRetired)
	assert.False(t, o.written)

	conn.reply("1")
	calls[0].wantPong("1")
	conn.reply("2")
	calls[1].wantPong("2")
	conn.wantEnd()
}

func TestRetiredRemoteClosesWhenIdle(t *testing.T) {
	peer, r := listen(t)
	call := begin(t, t.Context(), r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	conn.reply("1")
	call.wantPong("1")
	r.retire()
	conn.wantEnd()
	(&remote{}).retire() // and one that never had a connection is no problem
}

// A server that leaves the list before its connection is made, with nobody who
// waits for that, has not failed.
func TestRetiredRemoteThatStillConnectsIsNotBlamed(t *testing.T) {
	r := &remote{}
	p := unstarted(t, r)
	outcomes := make(chan outcome, 2)
	a := &attempt{remote: r, pipe: p, frame: ping("1"), outcomes: outcomes}
	p.send(a)
	a.drop()
	require.NoError(t, p.err)
	p.retire()
	require.ErrorIs(t, p.err, errRetired)
	assert.Zero(t, r.failures.Load())
}

func TestRepliesThatCannotBe(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"no JSON":      harness.Frame("pong"),
		"no reply":     harness.Frame(`{"in":"ping","params":1}`),
		"empty":        harness.Frame(""),
		"too long":     {1, 0x10, 0x10, 0},
		"far too long": {0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			peer, r := listen(t)
			call := begin(t, t.Context(), r, ping("1"))
			conn := peer.accept()
			conn.want("1")
			_, err := conn.Write(bytes)
			require.NoError(t, err)
			call.wantLost(true)
			conn.wantEnd()
		})
	}
}

func TestRepliesThatNobodyAskedFor(t *testing.T) {
	peer, r := listen(t)
	call := begin(t, t.Context(), r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	conn.reply("1", "2")
	call.wantPong("1")

	conn.wantEnd()
	waitUnconnected(t, r)
	assert.Zero(t, r.avoidUntil.Load(), "a server that answered is not set aside for it")

	next := begin(t, t.Context(), r, ping("3"))
	conn = peer.accept() // the answer "2" must not be taken for the next call's
	conn.want("3")
	conn.reply("3")
	next.wantPong("3")
}

func TestIdleConnectionThatTheServerClosesIsReplaced(t *testing.T) {
	peer, r := listen(t)
	for _, params := range []string{"1", "2", "3"} {
		call := begin(t, t.Context(), r, ping(params))
		conn := peer.accept()
		conn.want(params)
		conn.reply(params)
		call.wantPong(params)
		require.NoError(t, conn.CloseWrite())
		conn.wantEnd()
		waitUnconnected(t, r)
		assert.Zero(t, r.avoidUntil.Load(), "it is not set aside for that")
	}
}

// waitUnconnected waits until the remote has noticed that its connection ended.
func waitUnconnected(t *testing.T, r *remote) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, "no connection", func() (bool, string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.pipe == nil, "one"
	})
}

func TestSetAsideLongerAndLonger(t *testing.T) {
	r := &remote{}
	for i := range 40 {
		pause := min(firstAside<<min(i, 20), maxAside)
		r.blame()
		left := time.Duration(r.avoidUntil.Load() - clock())
		assert.LessOrEqual(t, left, pause, "after %d failures", i+1)
		assert.Greater(t, left, pause/2-50*time.Millisecond, "after %d failures", i+1)
		assert.LessOrEqual(t, left, 5*time.Second, "never longer than that")
	}
	p := &pipe{remote: r, sent: []*attempt{{remote: r, outcomes: make(chan outcome, 1)}}}
	require.NoError(t, p.answer([]byte(`{"out":"pong","result":1}`)))
	assert.Zero(t, r.avoidUntil.Load(), "a reply ends it")
	r.blame()
	assert.Greater(t, time.Duration(r.avoidUntil.Load()-clock()), maxAside/3, "but not what we think of it")

	r.lastFailure.Store(clock() - int64(maxAside) - 1)
	p.sent = []*attempt{{remote: r, outcomes: make(chan outcome, 1)}}
	require.NoError(t, p.answer([]byte(`{"out":"pong","result":1}`)))
	r.blame()
	assert.Less(t, time.Duration(r.avoidUntil.Load()-clock()), firstAside,
		"when it has been good for a while, a failure is a first one")
}

func TestNothingIsLeftOfARemote(t *testing.T) {
	leaks(t)
	ended := harness.StartStub(t, "", func(net.Conn, []byte) error { return io.EOF })
	deaf := harness.StartStub(t, "", func(net.Conn, []byte) error { return nil })
	good := harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
		_, err := conn.Write(pong("x"))
		return err
	})
	full := fullQueue(t)

	for range 10 {
		for _, addr := range []string{ended.Addr, deaf.Addr, good.Addr, full, "127.0.0.1:1"} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			r := &remote{addr: addr}
			call(ctx, r, ping("1"))
			r.retire()
			cancel()
		}
	}
}

// leaks fails the test if, some time after its end, it has left goroutines or
// sockets behind.
func leaks(t *testing.T) {
	count := func() (goroutines, sockets int) {
		for _, target := range harness.Descriptors(t, os.Getpid()) {
			if strings.HasPrefix(target, "socket:") {
				sockets++
			}
		}
		return runtime.NumGoroutine(), sockets
	}
	goroutines, sockets := count()
	t.Cleanup(func() {
		what := fmt.Sprintf("at most %d goroutines and %d sockets, as before", goroutines, sockets)
		harness.Eventually(t, 10*time.Second, what, func() (bool, string) {
			g, s := count()
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			return g <= goroutines && s <= sockets, fmt.Sprintf("%d and %d\n%s", g, s, stacks)
		})
	})
}
