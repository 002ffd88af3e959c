// Tests of ServeListener: a server in the test's own process, from its first
// caller to its last descriptor.

//go:build unix

package rpc

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// A local is a server in this process.
type local struct {
	addr  string
	stop  func()
	ended chan error
}

func startLocal(t testing.TB, config Config) local {
	t.Helper()
	harness.CaptureLog(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	l := local{addr: listener.Addr().String(), stop: cancel, ended: make(chan error, 1)}
	go func() { l.ended <- ServeListener(ctx, listener, config) }()
	return l
}

// descriptors returns how many this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir("/dev/fd")
	require.NoError(t, err)
	return len(open)
}

func TestServeListenerUntilItsContextEnds(t *testing.T) {
	warm, err := net.Listen("tcp", "127.0.0.1:0") // Go's own poller has its descriptors for good
	require.NoError(t, err)
	warm.Close()
	before := descriptors(t)

	for range 3 { // a process may have one after the other
		one := startLocal(t, Config{Service: NewService(), Grace: time.Minute})
		two := startLocal(t, Config{Service: Service{"ping": Func(Ping)}, Grace: time.Minute}) // and several at once
		c, d := harness.Dial(t, one.addr), harness.Dial(t, two.addr)
		c.SendRequest("pi", 0)
		c.WantReply("pi_r", string(NewReply("", PiSum(0)).Result))
		d.SendRequest("pi", 0)
		d.WantReply("error", `"unknown method \"pi\""`)

		one.stop()
		c.WantEOF()
		c.Close()
		assert.NoError(t, receive(t, one.ended, "ServeListener"))
		_, err := net.DialTimeout("tcp", one.addr, soon)
		assert.ErrorIs(t, err, unix.ECONNREFUSED)
		d.SendRequest("ping", "still here")
		d.WantPong(`"still here"`)
		two.stop()
		d.WantEOF()
		d.Close()
		assert.NoError(t, receive(t, two.ended, "ServeListener"))
	}

	harness.Eventually(t, soon, "nothing left open", func() (bool, string) {
		return descriptors(t) <= before, "more descriptors than before"
	})
}

func TestServeListenerFinishesWhatHasBegun(t *testing.T) {
	calls := newWaiter()
	l := startLocal(t, Config{Service: Service{"wait": calls.method()}, Grace: time.Minute})
	c := harness.Dial(t, l.addr)
	c.SendRequest("wait", "finish")
	ctx := receive(t, calls.began, "the call")

	l.stop()
	harness.Eventually(t, soon, "a closed port", func() (bool, string) {
		conn, err := net.Dial("tcp", l.addr)
		if err == nil {
			conn.Close()
		}
		return err != nil, "it is open"
	})
	assert.NoError(t, ctx.Err(), "that the server is to end is no reason to end a call")
	calls.goOn <- struct{}{}
	c.WantReply("wait_r", `"finish"`)
	c.WantEOF()
	c.Close()
	assert.NoError(t, receive(t, l.ended, "ServeListener"))
}

func TestServeListenerGivesUpAfterTheGracePeriod(t *testing.T) {
	calls := newWaiter()
	l := startLocal(t, Config{Service: Service{"wait": calls.method()}, Grace: 50 * time.Millisecond})
	idle := harness.Dial(t, l.addr)
	idle.SendRequest("pi", 1)
	idle.WantReply("error", `"unknown method \"pi\""`)
	c := harness.Dial(t, l.addr)
	c.SendRequest("wait", "never finished")
	ctx := receive(t, calls.began, "the call")

	l.stop()
	err := receive(t, l.ended, "ServeListener")
	assert.EqualError(t, err, "1 connections had calls that were not finished within 50ms")
	receive(t, ctx.Done(), "the end of the call's context")
	c.WantEOF()
}

func TestServeListenerWithoutGrace(t *testing.T) {
	l := startLocal(t, Config{Service: NewService()})
	c := harness.Dial(t, l.addr)
	c.SendRequest("ping", 1)
	c.WantPong("1")
	l.stop() // with an idle connection, from which nothing is lost
	assert.NoError(t, receive(t, l.ended, "ServeListener"))
}

func TestServeListenerRegistersWhileItServes(t *testing.T) {
	book := &guestBook{make(chan bool, 100), make(chan context.Context, 1), make(chan bool)}
	registered := make(chan *net.TCPAddr, 1)
	l := startLocal(t, Config{
		Service: NewService(), Grace: time.Minute, Limits: Limits{MaxFrame: 100},
		Register: func(addr *net.TCPAddr) (Registration, error) {
			registered <- addr
			return book, nil
		},
	})
	assert.Equal(t, l.addr, receive(t, registered, "Register").String())
	assert.True(t, receive(t, book.serving, "SetServing"))
	c := harness.Dial(t, l.addr)
	c.Send(harness.Frame(harness.Request("ping", make([]byte, 100)))) // a limit
	c.WantError()

	l.stop()
	ctx := receive(t, book.closing, "Close")
	_, bounded := ctx.Deadline()
	assert.True(t, bounded)
	assert.NoError(t, ctx.Err())
	d := harness.Dial(t, l.addr)
	d.SendRequest("ping", "still here")
	d.WantPong(`"still here"`)
	book.answer <- true
	d.WantEOF()
	d.Close()
	c.Close()
	assert.NoError(t, receive(t, l.ended, "ServeListener"))
}

func TestServeListenerThatCannotServe(t *testing.T) {
	before := descriptors(t)
	ctx := t.Context()
	unixListener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	require.NoError(t, err)
	err = ServeListener(ctx, unixListener, Config{})
	assert.ErrorContains(t, err, "must be a *net.TCPListener, not a *net.UnixListener")
	assert.ErrorIs(t, unixListener.Close(), net.ErrClosed, "it has been taken over all the same")

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	assert.ErrorIs(t, ServeListener(ctx, closed, Config{}), net.ErrClosed)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = ServeListener(ctx, listener, Config{
		Register: func(*net.TCPAddr) (Registration, error) { return nil, assert.AnError },
	})
	assert.ErrorIs(t, err, assert.AnError)
	assert.LessOrEqual(t, descriptors(t), before+1, "Go's own poller may have got its one")
}

// Two loops share nothing, whatever becomes of their connections: the race
// detector looks.
func TestServersInOneProcessShareNothing(t *testing.T) {
	var servers []local
	for range 2 {
		servers = append(servers, startLocal(t, Config{
			Service: NewService(), Grace: time.Minute, Limits: Limits{FrameTimeout: 100 * time.Millisecond},
		}))
	}

	var conns []*harness.Conn
	for _, server := range servers {
		c := harness.Dial(t, server.addr)
		c.Send(harness.Frame(harness.Request("ping", 1))[:9])
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.WantError()
		c.WantEOF()
		c.Close()
	}

	for _, server := range servers {
		server.stop()
		assert.NoError(t, receive(t, server.ended, "ServeListener"))
	}
}
