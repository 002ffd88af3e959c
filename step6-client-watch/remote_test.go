// Tests of one server as the client sees it, with the server's side of the
// connection played by the test: which reply goes to which call, and what is
// known of a call whose connection broke.

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// A peer is a server that does nothing by itself.
type peer struct {
	t        *testing.T
	listener *net.TCPListener
}

// listen returns a peer, and a remote for it.
func listen(t *testing.T) (*peer, *remote) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	r := &remote{addr: listener.Addr().String()}
	t.Cleanup(r.retire)
	return &peer{t, listener.(*net.TCPListener)}, r
}

// accept takes the next connection.
func (p *peer) accept() *peerConn {
	p.t.Helper()
	require.NoError(p.t, p.listener.SetDeadline(time.Now().Add(10*time.Second)))
	conn, err := p.listener.AcceptTCP()
	require.NoError(p.t, err, "the client should connect")
	p.t.Cleanup(func() { conn.Close() })
	require.NoError(p.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return &peerConn{conn, p.t}
}

type peerConn struct {
	*net.TCPConn
	t *testing.T
}

// want reads the next request, which must have these params.
func (c *peerConn) want(params string) {
	c.t.Helper()
	var header [HeaderSize]byte
	_, err := io.ReadFull(c, header[:])
	require.NoError(c.t, err, "request %s", params)
	body := make([]byte, binary.LittleEndian.Uint32(header[:]))
	_, err = io.ReadFull(c, body)
	require.NoError(c.t, err, "request %s", params)
	require.Equal(c.t, harness.Request("ping", params), string(body))
}

// reply writes these replies, all at once.
func (c *peerConn) reply(results ...string) {
	c.t.Helper()
	var frames []byte
	for _, result := range results {
		frames = append(frames, pong(result)...)
	}
	_, err := c.Write(frames)
	require.NoError(c.t, err)
}

// wantEnd expects the client to close the connection.
func (c *peerConn) wantEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c)
	if err != nil { // it had not read everything
		require.ErrorIs(c.t, err, syscall.ECONNRESET)
	}
	require.Empty(c.t, rest)
}

// reset ends the connection the hard way.
func (c *peerConn) reset() {
	require.NoError(c.t, c.SetLinger(0))
	require.NoError(c.t, c.Close())
}

func ping(params string) []byte { return harness.Frame(harness.Request("ping", params)) }

func pong(result string) []byte {
	return harness.Frame(fmt.Sprintf(`{"out":"pong","result":%q}`, result))
}

// A pending call's outcome comes through a channel.
type pending struct {
	t    *testing.T
	done chan outcome
}

// begin makes a call in the background.
func begin(t *testing.T, ctx context.Context, r *remote, frame []byte) pending {
	p := pending{t, make(chan outcome, 1)}
	go func() { p.done <- call(ctx, r, frame) }()
	return p
}

// call makes a call and waits for its outcome, however silent the server is.
func call(ctx context.Context, r *remote, frame []byte) outcome {
	outcomes := make(chan outcome, 2)
	a := r.start(frame, outcomes)

	for {
		select {
		case o := <-outcomes:
			if !o.warning {
				return o
			}
		case <-ctx.Done():
			a.drop()
			return outcome{attempt: a, err: context.Cause(ctx)}
		}
	}
}

func (p pending) wait() outcome {
	p.t.Helper()
	select {
	case o := <-p.done:
		return o
	case <-time.After(10 * time.Second):
		require.FailNow(p.t, "a call without outcome")
		panic("not reached")
	}
}

func (p pending) wantPong(result string) {
	p.t.Helper()
	o := p.wait()
	require.NoError(p.t, o.err)
	require.Equal(p.t, fmt.Sprintf("%q", result), string(o.reply.Result))
}

func (p pending) wantLost(written bool) {
	p.t.Helper()
	o := p.wait()
	require.Error(p.t, o.err)
	require.Equal(p.t, written, o.written, "written, with the error %v", o.err)
}

func TestRepliesGoToCallsInTheirOrder(t *testing.T) {
	ctx := t.Context()
	peer, r := listen(t)
	calls := []pending{begin(t, ctx, r, ping("0"))}
	conn := peer.accept()
	conn.want("0")
	for i := 1; i < 10; i++ { // all without a reply: that is pipelining
		calls = append(calls, begin(t, ctx, r, ping(fmt.Sprint(i))))
		conn.want(fmt.Sprint(i))
	}

	conn.reply("a", "b", "c")
	conn.reply("d", "e", "f", "g", "h", "i", "j")
	for i, call := range calls {
		call.wantPong(string(rune('a' + i)))
	}
}

func TestManyCallersShareOneConnection(t *testing.T) {
	stub := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
		request, err := ParseRequest(body)
		if err != nil {
			return err
		}
		_, err = conn.Write(AppendFrame(nil, Reply{Kind: "pong", Result: request.Params}.Append(nil)))
		return err
	})
	r := &remote{addr: stub.Addr}
	defer r.retire()
	var callers sync.WaitGroup
	for caller := range 50 {
		callers.Go(func() {
			for i := range 20 {
				params := fmt.Sprintf("%d of %d", i, caller)
				o := call(t.Context(), r, ping(params))
				assert.NoError(t, o.err)
				assert.Equal(t, fmt.Sprintf("%q", params), string(o.reply.Result))
			}
		})
	}
	callers.Wait()
	assert.Equal(t, 1, stub.Conns())
}

func TestCallsThatWaitLeaveInOneWrite(t *testing.T) {
	const calls = 100
	peer, r := listen(t)
	p := unstarted(t, r)

	var frames []byte
	for i := range calls {
		p.send(&attempt{remote: r, pipe: p, frame: ping(fmt.Sprint(i)), outcomes: make(chan outcome, 2)})
		frames = append(frames, ping(fmt.Sprint(i))...)
	}

	go p.run()
	conn := peer.accept()
	first := make([]byte, 2*len(frames))
	n, err := conn.Read(first)
	require.NoError(t, err)
	assert.Equal(t, len(frames), n, "of the first read")
	assert.Equal(t, frames, first[:n])
	p.breakOff(errRetired)
}

func TestAbandonedCallsReplyIsConsumedInItsPlace(t *testing.T) {
	peer, r := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	first := begin(t, t.Context(), r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	abandoned := begin(t, ctx, r, ping("2"))
	conn.want("2")
	third := begin(t, t.Context(), r, ping("3"))
	conn.want("3")

	cancel()
	o := abandoned.wait() // before there is any reply
	assert.ErrorIs(t, o.err, context.Canceled)

	conn.reply("one", "two", "three")
	first.wantPong("one")
	third.wantPong("three")
}

// A server that has just answered is known to be there, also if it owed nothing
// whenever somebody looked.
func TestServerThatHasAnsweredIsLively(t *testing.T) {
	peer, r := listen(t)
	call := begin(t, t.Context(), r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	require.False(t, r.isLively(), "not yet")
	conn.reply("1")
	call.wantPong("1")
	assert.True(t, r.isLively())
}

func TestRefusedCallWasNotWritten(t *testing.T) {
	peer, r := listen(t)
	peer.listener.Close()
	o := call(t.Context(), r, ping("1"))
	assert.ErrorIs(t, o.err, syscall.ECONNREFUSED)
	assert.False(t, o.written)
}

func TestRefusedConnectionCountsThoughNobodyWaits(t *testing.T) {
	peer, r := listen(t)
	peer.listener.Close()
	p := unstarted(t, r)
	p.run() // faster than the call that wanted it
	assert.Positive(t, r.avoidUntil.Load(), "it is set aside")
	outcomes := make(chan outcome, 2)
	p.send(&attempt{remote: r, pipe: p, frame: ping("1"), outcomes: outcomes})
	assert.ErrorIs(t, (<-outcomes).err, syscall.ECONNREFUSED)
}

// unstarted returns a pipe without the goroutine that connects and writes.
func unstarted(t *testing.T, r *remote) *pipe {
	p := newPipe(r)
	t.Cleanup(p.cancel)
	return p
}

func TestHangingDialIsGivenUp(t *testing.T) {
	t.Parallel()
	began := time.Now()
	o := call(t.Context(), &remote{addr: fullQueue(t)}, ping("1"))
	assert.Error(t, o.err)
	assert.False(t, o.written)
	assert.InDelta(t, dialTimeout.Seconds(), time.Since(began).Seconds(), 0.9, "seconds until then")
}

// fullQueue returns the address of a listener that never accepts and whose
// queue is full, so that the handshake with it hangs.
func fullQueue(t *testing.T) (addr string) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0))

	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	addr = fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)

	for range 10 {
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	require.FailNow(t, "a queue that never fills")
	return ""
}

func TestBrokenConnectionTellsWhatWasWritten(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *peerConn)
	}{
		{"closed", func(c *peerConn) { require.NoError(t, c.Close()) }},
		{"reset", (*peerConn).reset},
		{"closed inside a reply", func(c *peerConn) {
			_, err := c.Write(pong("1")[:10])
			require.NoError(t, err)
			require.NoError(t, c.Close())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			peer, r := listen(t)
			call := begin(t, t.Context(), r, ping("1"))
			conn := peer.accept()
			conn.want("1")
			test.end(conn)
			call.wantLost(true)
			again := begin(t, t.Context(), r, ping("2")) // on a new connection
			conn = peer.accept()
			conn.want("2")
			conn.reply("2")
			again.wantPong("2")
		})
	}
}

func TestCallBehindOneThatDoesNotGetThroughWasNotWritten(t *testing.T) {
	peer, r := listen(t)
	long := begin(t, t.Context(), r, make([]byte, 8<<20)) // more than socket buffers hold
	conn := peer.accept()
	one := make([]byte, 1)
	_, err := conn.Read(one)
	require.NoError(t, err)
	behind := begin(t, t.Context(), r, ping("2"))
	harness.Eventually(t, 10*time.Second, "the second call queued", func() (bool, string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pipe.mu.Lock()
		defer r.pipe.mu.Unlock()
		return len(r.pipe.queue) == 1, fmt.Sprint(len(r.pipe.queue), " in the queue")
	})
	conn.reset()
	long.wantLost(true)
	behind.wantLost(false)
}

func TestMemoryOfOneLongCallIsNotKept(t *testing.T) {
	long := strings.Repeat("x", 1<<20-100)
	stub := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
		_, err := conn.Write(harness.Frame(strings.Replace(string(body), `"in":"ping","params"`,
			`"out":"pong","result"`, 1)))
		return err
	})

	before := heapInUse()
	remotes := make([]remote, 8)
	for i := range remotes {
		remotes[i].addr = stub.Addr
		for _, params := range []string{"short", long, "short", "short"} {
			o := call(t.Context(), &remotes[i], ping(params))
			require.NoError(t, o.err)
			require.Len(t, o.reply.Result, len(params)+2)
		}
	}

	assert.Less(t, heapInUse()-before, 3<<20, "bytes for 8 connections that had one call of 1 MiB each")
	for i := range remotes {
		remotes[i].retire()
	}
}

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
