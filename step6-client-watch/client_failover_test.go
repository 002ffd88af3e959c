// Tests of the client among servers that fail: which calls move to another
// server, and which server they move to.

package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

func TestCallThatMayHaveRunIsRepeatedOnlyIfIdempotent(t *testing.T) {
	a, b := harness.StartStub(t, "", hangUp), harness.StartStub(t, "", hangUp)
	client, _ := newClient(t, a.Addr, b.Addr)
	_, server, err := client.Call(in5s(t), "add", 1)
	assert.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 1, a.Requests()+b.Requests(), "requests")
	assert.Contains(t, []string{a.Addr, b.Addr}, server)

	for _, method := range []string{"ping", "pi", "own"} {
		before := a.Requests() + b.Requests()
		client.Idempotent = func(m string) bool { return m == method }
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		_, _, err = client.Call(ctx, method, 1)
		cancel()
		assert.ErrorIs(t, err, context.DeadlineExceeded)

		requests := a.Requests() + b.Requests() - before
		assert.Greater(t, requests, 2, "requests: at both, and again")
		assert.Less(t, requests, 10, "requests: not in a hurry")
	}
}

func TestCallThatCannotHaveRunIsRepeated(t *testing.T) {
	stub := harness.StartStub(t, "", good)
	for range 20 {
		client, _ := newClient(t, refused(t), stub.Addr, refused(t), refused(t))
		_, server, err := client.Call(in5s(t), "add", 1)
		require.NoError(t, err)
		require.Equal(t, stub.Addr, server)
		client.Close()
	}
	assert.Equal(t, 20, stub.Requests())
}

func TestCallWaitsForAServerThatIsRestarted(t *testing.T) {
	addr := refused(t)
	client, _ := newClient(t, addr)
	done := make(chan error, 1)
	go func() {
		_, _, err := client.Call(in5s(t), "add", 1)
		done <- err
	}()
	harness.Eventually(t, 10*time.Second, "a failed attempt", func() (bool, string) {
		return remotes(client)[0].failures.Load() > 0, "none"
	})
	harness.StartStub(t, addr, good)
	assert.NoError(t, <-done)
}

func TestServerThatBreaksIsSetAside(t *testing.T) {
	bad, ok := harness.StartStub(t, "", hangUp), harness.StartStub(t, "", good)
	client, _ := newClient(t, bad.Addr, ok.Addr)
	began := time.Now()
	for range 500 {
		_, server, err := client.Call(in5s(t), "ping", 1)
		require.NoError(t, err)
		require.Equal(t, ok.Addr, server)
	}
	// Left alone for 50 ms at least, then for 100 ms, and so on.
	most := 2 + int(time.Since(began)/(50*time.Millisecond))
	assert.LessOrEqual(t, bad.Requests(), most, "requests in %v", time.Since(began))
}

func TestServersAllSetAsideAreAllTried(t *testing.T) {
	var broken atomic.Bool
	broken.Store(true)
	serve := func(conn net.Conn, body []byte) error {
		if broken.Load() {
			return io.EOF
		}
		return good(conn, body)
	}
	a, b := harness.StartStub(t, "", serve), harness.StartStub(t, "", serve)
	client, _ := newClient(t, a.Addr, b.Addr)

	for _, r := range remotes(client) {
		for range 10 {
			r.blame()
		}
		require.Greater(t, time.Duration(r.avoidUntil.Load()-clock()), 2*time.Second)
	}

	began := time.Now()
	time.AfterFunc(200*time.Millisecond, func() { broken.Store(false) })
	_, _, err := client.Call(in5s(t), "ping", 1)
	require.NoError(t, err)
	assert.Less(t, time.Since(began), 2*time.Second, "nobody waits for a server that is set aside")
}

// The promise: an idempotent call with 5 s succeeds as long as one of the
// listed servers serves.
func TestOneServingServerIsEnough(t *testing.T) {
	t.Parallel()
	ok := harness.StartStub(t, "", good)
	full := fullQueue(t)
	servers := []string{ok.Addr, full, refused(t), harness.StartStub(t, "", hangUp).Addr}
	for range 4 {
		servers = append(servers, harness.StartStub(t, "", deaf).Addr)
	}

	var calls sync.WaitGroup
	for range 30 { // each client finds out for itself, in its own order
		client, _ := newClient(t, servers...)
		calls.Go(func() {
			_, server, err := client.Call(in5s(t), "ping", 1)
			assert.NoError(t, err)
			assert.Equal(t, ok.Addr, server)
		})
	}
	calls.Wait()
}

// A call that a server has kept waiting leaves time for the others; but to
// each of many enough for an answer.
func TestOneOfManyServersHangs(t *testing.T) {
	t.Parallel()
	hung := harness.StartStub(t, "", deaf)
	client, discovery := newClient(t, hung.Addr)

	done := make(chan error, 1)
	go func() {
		_, _, err := client.Call(in5s(t), "ping", 1)
		done <- err
	}()
	harness.Eventually(t, 10*time.Second, "a call at the server that hangs", func() (bool, string) {
		return hung.Requests() == 1, "none"
	})

	servers := []string{hung.Addr}
	for range 100 {
		servers = append(servers, harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
			time.Sleep(50 * time.Millisecond) // the way there and back
			return good(conn, body)
		}).Addr)
	}

	discovery.list(servers...)
	assert.NoError(t, <-done)
}
