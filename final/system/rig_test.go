// Package system tests final's programs and library as one system: with real
// processes, a real ZooKeeper, and faults. This file is what its tests share:
// servers, and callers that keep calling whatever happens.

//go:build unix

package system

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) {
	code := harness.Main(m)
	stopSharedZooKeeper()
	os.Exit(code)
}

// startServer starts final's server with these options, which say where
// ZooKeeper is.
func startServer(t *testing.T, o harness.Options) *harness.Server {
	t.Helper()
	return harness.StartServer(t, harness.Build(t, "../cmd/server"), func(host, port string) []string {
		return append(o.Args("workers", "grace", "zk", "root", "advertise", "session"), host, port)
	}, o)
}

// newClient returns a client of the servers registered under root, which the
// test must close, when it has found so many of them.
func newClient(t *testing.T, zk, root string, session time.Duration, servers int) *rpc.Client {
	t.Helper()
	s, err := rpc.NewSession(zk, session)
	require.NoError(t, err)
	client := rpc.NewClient(rpc.NewZKDiscovery(s, root))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	require.NoError(t, client.Wait(ctx, servers))
	return client
}

// patience is for what takes a moment on an idle machine.
const patience = 20 * time.Second

// A callers is a number of goroutines that call without end.
type callers struct {
	t      *testing.T
	client *rpc.Client
	pause  time.Duration                                                // of each caller, after a call
	ask    func(caller, i int) (method string, params any, want string) // what they ask
	stop   chan struct{}
	halt   sync.Once // closes stop
	began  time.Time
	done   sync.WaitGroup

	calls []atomic.Int64 // by caller

	mu       sync.Mutex
	answered map[string]int // calls by server
	slowest  time.Duration
	failures []string
}

// startCallers starts n callers that call as fast as they can. They end with
// the test at the latest.
func startCallers(t *testing.T, client *rpc.Client, n int) *callers {
	return startPacedCallers(t, client, n, 0)
}

// startPacedCallers starts callers that leave the machine to others between
// their calls.
func startPacedCallers(t *testing.T, client *rpc.Client, n int, pause time.Duration) *callers {
	return startCallersOf(t, client, n, pause, request)
}

// startCallersOf starts callers that ask what ask returns.
func startCallersOf(t *testing.T, client *rpc.Client, n int, pause time.Duration,
	ask func(caller, i int) (method string, params any, want string)) *callers {
	c := &callers{
		t: t, client: client, pause: pause, ask: ask, began: time.Now(), stop: make(chan struct{}),
		calls: make([]atomic.Int64, n), answered: make(map[string]int),
	}
	for i := range n {
		c.done.Go(func() { c.run(i) })
	}
	t.Cleanup(c.stopAll)
	return c
}

func (c *callers) stopAll() {
	c.halt.Do(func() { close(c.stop) })
	c.done.Wait()
}

func (c *callers) run(caller int) {
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return
		case <-time.After(c.pause):
		}

		method, params, want := c.ask(caller, i)
		began := time.Now()
		// What the client promises: a call with 5 s succeeds as long as one
		// listed server serves.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		reply, server, err := c.client.Call(ctx, method, params)
		cancel()
		if err == nil && string(reply.Result) != want {
			err = fmt.Errorf("%s at %s: got %.200s, want %.200s", method, server, reply.Result, want)
		}

		c.calls[caller].Add(1)
		c.mu.Lock()
		c.answered[server]++
		c.slowest = max(c.slowest, time.Since(began))
		if err != nil {
			c.failures = append(c.failures, fmt.Sprintf("after %.1fs, begun %.1fs before: %v",
				time.Since(c.began).Seconds(), time.Since(began).Seconds(), err))
		}
		c.mu.Unlock()
	}
}

// request returns what a caller asks in its i-th call, and the result that it
// must get: no two callers ask the same.
func request(caller, i int) (method string, params any, want string) {
	method, params = "ping", any(fmt.Sprintf("caller %d, call %d", caller, i))
	result := params
	switch {
	case i%4 == 3:
		method, params = "pi", 100*(i%50)+caller
		result = rpc.PiSum(100*(i%50) + caller)
	case (caller+i)%32 == 0: // more than a server reads or writes at once
		params = fmt.Sprintf("%s%40000d", params, i)
		result = params
	}
	raw, _ := json.Marshal(result)
	return method, params, string(raw)
}

// wait waits until the server has answered n more calls.
func (c *callers) wait(s *harness.Server, n int) {
	c.t.Helper()
	c.waitFor(s.Addr, n)
}

// waitFor is wait for what the client takes for a server.
func (c *callers) waitFor(addr string, n int) {
	c.t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.answered[addr]
	}
	before := count()
	harness.Eventually(c.t, patience, fmt.Sprintf("%d more calls answered by %s", n, addr), func() (bool, string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.answered[addr]-before >= n,
			fmt.Sprintf("%d; answers %v, failures %q", c.answered[addr]-before, c.answered, c.failures)
	})
}

// waitEach waits until every caller has made n more calls: none of them hangs
// at a server any more.
func (c *callers) waitEach(n int64) {
	c.t.Helper()
	before := make([]int64, len(c.calls))
	for i := range c.calls {
		before[i] = c.calls[i].Load()
	}
	harness.Eventually(c.t, patience, fmt.Sprintf("%d more calls made by every caller", n), func() (bool, string) {
		var slow []int
		for i := range c.calls {
			if c.calls[i].Load()-before[i] < n {
				slow = append(slow, i)
			}
		}
		return len(slow) == 0, fmt.Sprintf("callers %v not so far", slow)
	})
}

// end stops the callers and expects that no call failed.
func (c *callers) end() {
	c.t.Helper()
	c.stopAll()
	c.t.Logf("calls answered by %v", c.answered)
	assert.Empty(c.t, c.failures, "failed calls")
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int { return len(harness.Descriptors(t, os.Getpid())) }
