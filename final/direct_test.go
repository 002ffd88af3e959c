// Tests of what a caller sends itself, and of the memory that is used again.

//go:build unix

package rpc

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// directPipe returns a pipe without goroutines, and the other end of its
// connection.
func directPipe(t *testing.T) (*pipe, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()

	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })

	peer, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { peer.Close() })
	require.NoError(t, peer.SetDeadline(time.Now().Add(soon)))

	p := newPipe(&remote{})
	t.Cleanup(p.cancel)
	p.conn, p.direct = conn, newDirectWriter(conn.(*net.TCPConn))
	return p, peer
}

// queue is what send does with a frame.
func queue(p *pipe, frame string) {
	p.send(&attempt{frame: []byte(frame), outcomes: make(chan outcome, 2)})
}

func TestCallerSendsItselfWhenNobodyWaits(t *testing.T) {
	p, peer := directPipe(t)
	queue(p, "frame")
	require.Empty(t, p.queue)
	got := make([]byte, len("frame"))
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.Equal(t, "frame", string(got))
	queue(p, "second")
	require.Len(t, p.queue, 1, "somebody waits: it is the writer's")
	require.Equal(t, "second", string(p.take(nil)))
	require.Len(t, p.sent, 2)
}

func TestCallersAtWorkLetTheWriterGather(t *testing.T) {
	p, _ := directPipe(t)
	p.remote.standing.balance = &balance{}
	p.remote.standing.balance.underWay.Store(2) // the other's call may be at another server
	queue(p, "frame")
	require.Len(t, p.queue, 1)
}

// A server may have answered a request whose end has not left yet.
func TestNothingOvertakesTheRestOfAFrame(t *testing.T) {
	p, _ := directPipe(t)
	p.rest = []byte("rest, ")
	queue(p, "frame")
	require.Equal(t, "rest, frame", string(p.take(nil)))
	require.True(t, p.writing)
	queue(p, "behind")
	require.Equal(t, "behind", string(p.take(nil)), "the writer is not done: it is the writer's")
}

func TestDirectWriteNeverWaits(t *testing.T) {
	p, _ := directPipe(t)
	for chunk := make([]byte, 1<<20); p.direct.write(chunk) > 0; { // until the kernel has no room
	}
	require.Zero(t, p.direct.write([]byte("x")))
	p.conn.Close()
	require.Zero(t, p.direct.write([]byte("x")), "an error is for the writer to see")
}

func TestLongRepliesMemoryIsNotKept(t *testing.T) {
	var server Server
	server.keep(make([]byte, maxKept+1))
	require.Nil(t, server.spare)
	server.keep(make([]byte, maxKept))
	require.Equal(t, maxKept, cap(server.spare))
	require.Empty(t, server.spare)
}
