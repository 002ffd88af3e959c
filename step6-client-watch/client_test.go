// Tests of the client with a made-up list of servers and servers that the
// tests play: where a call goes, when it is repeated, and when it is not.

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// A madeUp Discovery finds what the test says.
type madeUp chan Snapshot

func (m madeUp) Watch(ctx context.Context, publish func(Snapshot)) {
	for {
		select {
		case s := <-m:
			publish(s)
		case <-ctx.Done():
			return
		}
	}
}

// list returns when the client knows this list of servers.
func (m madeUp) list(servers ...string) {
	for range 2 { // the second is taken when the first has been dealt with
		m <- Snapshot{Servers: servers}
	}
}

// newClient returns a client that knows these servers.
func newClient(t *testing.T, servers ...string) (*Client, madeUp) {
	m := make(madeUp)
	c := NewClient(m)
	t.Cleanup(c.Close)
	m.list(servers...)
	return c, m
}

// in5s is the context of a call with the deadline that the promise names.
func in5s(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func good(conn net.Conn, _ []byte) error {
	_, err := conn.Write(pong("yes"))
	return err
}

func deaf(net.Conn, []byte) error { return nil }

func hangUp(net.Conn, []byte) error { return io.EOF }

// refused returns an address where nobody listens.
func refused(t *testing.T) string {
	stub := harness.StartStub(t, "", deaf)
	stub.Close()
	return stub.Addr
}

func TestUpdateKeepsTheConnectionsOfSurvivors(t *testing.T) {
	var stubs []*harness.Stub
	for range 3 {
		stubs = append(stubs, harness.StartStub(t, "", good))
	}
	a, b, c := stubs[0], stubs[1], stubs[2]
	client, list := newClient(t, a.Addr, b.Addr)

	callAll := func(stubs ...*harness.Stub) {
		t.Helper()
		before := make(map[*harness.Stub]int)
		for _, stub := range stubs {
			before[stub] = stub.Requests()
		}
		for range 50 { // with 2 servers, one is missed once in 10^15 times
			_, _, err := client.Call(in5s(t), "ping", 1)
			require.NoError(t, err)
		}
		for _, stub := range stubs {
			require.Greater(t, stub.Requests(), before[stub], "calls of %s", stub.Addr)
		}
	}

	assert.Zero(t, a.Conns()+b.Conns(), "connections before the first call")
	callAll(a, b)
	list.list(b.Addr, c.Addr)
	callAll(b, c)

	was := a.Requests()
	list.list(b.Addr)
	callAll(b)
	harness.Eventually(t, 10*time.Second, "no connection to a server that left", func() (bool, string) {
		return a.Open() == 0, fmt.Sprint(a.Open())
	})

	list.list(a.Addr, b.Addr, c.Addr)
	assert.Equal(t, was, a.Requests(), "calls of a server that is not listed")
	callAll(a, b)
	assert.Equal(t, 2, a.Conns(), "connections to a server that left and came back")
	assert.Equal(t, 1, b.Conns(), "connections to the server that stayed")
}

func TestServerThatLeavesFinishesItsCalls(t *testing.T) {
	release := make(chan struct{})
	stub := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
		<-release
		return good(conn, body)
	})
	other := harness.StartStub(t, "", good)
	client, list := newClient(t, stub.Addr)
	client.Idempotent = func(string) bool { return false }

	var calls sync.WaitGroup
	for range 5 {
		calls.Go(func() {
			_, server, err := client.Call(in5s(t), "ping", 1)
			assert.NoError(t, err)
			assert.Equal(t, stub.Addr, server)
		})
	}

	harness.Eventually(t, 10*time.Second, "5 calls waiting", func() (bool, string) {
		n := waitingCalls(client)
		return n == 5, fmt.Sprint(n)
	})

	list.list(other.Addr)
	_, server, err := client.Call(in5s(t), "ping", 1)
	assert.NoError(t, err)
	assert.Equal(t, other.Addr, server)

	client.Close()
	close(release)
	calls.Wait()
}

// remotes returns the servers that the client knows.
func remotes(c *Client) []*remote {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}

// waitingCalls counts the calls that wait for a reply.
func waitingCalls(c *Client) (n int) {
	for _, r := range remotes(c) {
		r.mu.Lock()
		if r.pipe != nil {
			r.pipe.mu.Lock()
			n += len(r.pipe.queue) + len(r.pipe.sent)
			r.pipe.mu.Unlock()
		}
		r.mu.Unlock()
	}
	return n
}

func TestErrorReplyIsAnAnswer(t *testing.T) {
	stub := harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
		_, err := conn.Write(harness.Frame(`{"out":"error","result":"unknown method"}`))
		return err
	})
	client, _ := newClient(t, stub.Addr)
	reply, server, err := client.Call(in5s(t), "ping", 1)
	var answer *ReplyError
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, ReplyError{Server: stub.Addr, Message: "unknown method"}, *answer)
	assert.Equal(t, "error", reply.Kind)
	assert.Equal(t, stub.Addr, server)
	assert.Equal(t, 1, stub.Requests())
}

func TestNoServer(t *testing.T) {
	client, list := newClient(t)
	_, _, err := client.Call(in5s(t), "ping", 1)
	assert.ErrorIs(t, err, ErrNoServer)
	list.list(harness.StartStub(t, "", good).Addr)
	_, _, err = client.Call(in5s(t), "ping", 1)
	assert.NoError(t, err)
	client.Close()
	_, _, err = client.Call(in5s(t), "ping", 1)
	assert.ErrorIs(t, err, ErrClosed)
	assert.ErrorIs(t, client.Wait(t.Context(), 1), ErrClosed)
	client.Close() // once more does no harm
}

func TestFailureNamesEveryReason(t *testing.T) {
	addr := refused(t)
	client, _ := newClient(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := client.Call(ctx, "ping", 1)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.ErrorContains(t, err, addr)
}

func TestWait(t *testing.T) {
	list := make(madeUp)
	client := NewClient(list)
	defer client.Close()
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, client.Wait(soon, 0), context.DeadlineExceeded, "the list is not known yet")
	list.list()
	assert.NoError(t, client.Wait(t.Context(), 0))
	assert.ErrorIs(t, client.Wait(soon, 1), context.DeadlineExceeded)
	go list.list("a:1", "b:2")
	assert.NoError(t, client.Wait(t.Context(), 2))
	assert.ErrorIs(t, client.Wait(soon, 3), context.DeadlineExceeded)
}

func TestRequestsThatAreNotSent(t *testing.T) {
	stub := harness.StartStub(t, "", good)
	client, _ := newClient(t, stub.Addr)
	for _, params := range []any{make(chan int), func() {}, math.NaN(), math.Inf(1)} {
		_, _, err := client.Call(in5s(t), "ping", params)
		assert.ErrorContains(t, err, "ping: params are not JSON")
	}
	over := MaxRequest + 1 - len(harness.Request("ping", ""))
	_, _, err := client.Call(in5s(t), "ping", strings.Repeat("x", over))
	var long *FrameTooLongError
	require.ErrorAs(t, err, &long)
	assert.Equal(t, FrameTooLongError{Length: MaxRequest + 1, Limit: MaxRequest}, *long)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = client.Call(ctx, "ping", 1)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, stub.Requests())

	_, _, err = client.Call(in5s(t), "ping", strings.Repeat("x", over-1))
	assert.NoError(t, err, "a request at the limit")
	assert.Equal(t, 1, stub.Requests())
}

func TestCallsUpdatesAndCloseAtOnce(t *testing.T) {
	leaks(t)
	var addrs []string
	for _, serve := range []func(net.Conn, []byte) error{good, good, good, hangUp} {
		addrs = append(addrs, harness.StartStub(t, "", serve).Addr)
	}
	client, list := newClient(t, addrs...)

	var callers sync.WaitGroup
	var closed atomic.Bool
	var calls atomic.Int64
	for range 10 {
		callers.Go(func() {
			for {
				_, _, err := client.Call(in5s(t), "ping", 1)
				calls.Add(1)
				if closed.Load() {
					if err != nil {
						assert.ErrorIs(t, err, ErrClosed)
						return
					}
					continue
				}
				assert.NoError(t, err)
			}
		})
	}

	for i := 0; calls.Load() < 2000; i++ { // always with a good one among them
		list.list(addrs[i%3], addrs[3])
		list.list(addrs[i%3:]...)
	}

	closed.Store(true)
	client.Close()
	callers.Wait()
}
