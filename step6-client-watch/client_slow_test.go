// Tests of the client among servers that are slow, silent or many: a call takes
// as long as its server needs, if nobody else is faster, and is not begun again
// and again.

package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// slow returns what a server does that thinks for a while.
func slow(d time.Duration) func(net.Conn, []byte) error {
	return func(conn net.Conn, body []byte) error {
		time.Sleep(d)
		return good(conn, body)
	}
}

// in30s is the context of a patient caller.
func in30s(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWorkThatTakesLongerThanSilence(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(servers, " servers"), func(t *testing.T) {
			t.Parallel()
			var stubs []*harness.Stub
			var addrs []string
			for range servers {
				stub := harness.StartStub(t, "", slow(2*silence))
				stubs = append(stubs, stub)
				addrs = append(addrs, stub.Addr)
			}

			client, _ := newClient(t, addrs...)
			_, _, err := client.Call(in30s(t), "ping", 1)
			require.NoError(t, err)

			// A ping to see who is there counts as little: only the others get
			// one.
			begun := 0
			for _, stub := range stubs {
				begun += stub.Requests()
			}
			assert.LessOrEqual(t, begun, servers, "requests: one, and a ping for each other server")
		})
	}
}

// What must not run twice waits for its server, and does not fail because that
// takes its time.
func TestCallThatMustNotRunTwiceIsPatient(t *testing.T) {
	t.Parallel()
	a, b := harness.StartStub(t, "", slow(2*silence)), harness.StartStub(t, "", slow(2*silence))
	client, _ := newClient(t, a.Addr, b.Addr)
	_, _, err := client.Call(in30s(t), "add", 1)
	require.NoError(t, err)
	assert.Equal(t, 1, a.Requests()+b.Requests(), "requests")

	hung := harness.StartStub(t, "", deaf)
	client, _ = newClient(t, hung.Addr)
	ctx, cancel := context.WithTimeout(t.Context(), silence+silence/2)
	defer cancel()
	began := time.Now()
	_, _, err = client.Call(ctx, "add", 1)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Greater(t, time.Since(began), silence, "its own deadline ends it")
	assert.Equal(t, 1, hung.Requests(), "requests")
}

// Callers that share slow servers don't make more work than there is.
func TestManySlowCalls(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	serve := func(conn net.Conn, body []byte) error {
		begun.Add(1)
		time.Sleep(300 * time.Millisecond)
		return good(conn, body)
	}
	a, b := harness.StartStub(t, "", serve), harness.StartStub(t, "", serve)
	client, _ := newClient(t, a.Addr, b.Addr)

	const calls = 24
	var callers sync.WaitGroup
	for range calls {
		callers.Go(func() {
			_, _, err := client.Call(in30s(t), "ping", 1)
			assert.NoError(t, err)
		})
	}
	callers.Wait()
	assert.LessOrEqual(t, begun.Load(), int64(2*calls), "computations begun for %d calls", calls)
}

func TestServerThatAnswersAByteNowAndThen(t *testing.T) {
	t.Parallel()
	trickle := harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
		for _, b := range pong("yes") {
			_, err := conn.Write([]byte{b})
			if err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
		return nil
	})
	ok := harness.StartStub(t, "", good)
	client, _ := newClient(t, trickle.Addr, ok.Addr)
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() {
			_, server, err := client.Call(in5s(t), "ping", 1)
			assert.NoError(t, err)
			assert.Equal(t, ok.Addr, server)
		})
	}
	callers.Wait()
	client.Close() // or the stub would go on for half a minute
}

// The promise again, among many servers that hang.
func TestOneServingServerAmongManyThatHang(t *testing.T) {
	t.Parallel()
	for _, hung := range []int{39, 99} {
		t.Run(fmt.Sprint(hung, " hang"), func(t *testing.T) {
			t.Parallel()
			// The way there and back takes a while, too.
			ok := harness.StartStub(t, "", slow(300*time.Millisecond))
			servers := []string{ok.Addr}
			for range hung {
				servers = append(servers, harness.StartStub(t, "", deaf).Addr)
			}

			var calls sync.WaitGroup
			for range 5 {
				client, _ := newClient(t, servers...)
				calls.Go(func() {
					for range 2 {
						_, server, err := client.Call(in5s(t), "ping", 1)
						assert.NoError(t, err)
						assert.Equal(t, ok.Addr, server)
					}
				})
			}
			calls.Wait()
		})
	}
}

// However many servers refuse, a call that knows it costs what it costs among
// few.
func TestManyServersThatRefuse(t *testing.T) {
	ok := harness.StartStub(t, "", good)
	servers := []string{ok.Addr}
	for i := range 2000 {
		servers = append(servers, fmt.Sprintf("127.0.%d.%d:1", 1+i/200, 1+i%200)) // nobody listens there
	}
	client, _ := newClient(t, servers...)

	for i := range 40 {
		began := time.Now()
		_, server, err := client.Call(in5s(t), "ping", 1)
		require.NoError(t, err, "call %d", i)
		require.Equal(t, ok.Addr, server)
		assert.Less(t, time.Since(began), 4*time.Second, "call %d", i)
	}
}

func TestCallWaitsForTheFirstList(t *testing.T) {
	stub := harness.StartStub(t, "", good)
	list := make(madeUp)
	client := NewClient(list)
	t.Cleanup(client.Close)
	done := make(chan error, 1)
	go func() {
		_, _, err := client.Call(in5s(t), "ping", 1)
		done <- err
	}()
	list.list(stub.Addr)
	assert.NoError(t, <-done)

	never := NewClient(make(madeUp))
	ended := make(chan error, 1)
	go func() {
		_, _, err := never.Call(t.Context(), "ping", 1)
		ended <- err
	}()
	never.Close()
	assert.ErrorIs(t, <-ended, ErrClosed, "and not for ever")
}

func TestAddressListedTwice(t *testing.T) {
	leaks(t)
	stub := harness.StartStub(t, "", good)
	client, list := newClient(t, stub.Addr, stub.Addr)
	assert.Len(t, remotes(client), 1)
	_, _, err := client.Call(in5s(t), "ping", 1)
	require.NoError(t, err)
	list.list(stub.Addr)
	_, _, err = client.Call(in5s(t), "ping", 1)
	require.NoError(t, err)
	assert.Equal(t, 1, stub.Conns())
	client.Close()
	stub.Close()
}
