// The clients that call: what became of every call.

//go:build linux

package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	rpc "example.com/rpcworkbook/final"
)

const (
	callTime  = 5 * time.Second        // for one call: what the client promises to need at most
	callPause = 500 * time.Microsecond // of each caller between two calls
)

// A traffic is a number of clients that call all the time.
type traffic struct {
	clients []*rpc.Client
	n       int // callers in all
	stop    context.CancelFunc
	callers sync.WaitGroup

	mu      sync.Mutex
	calls   []call
	updated chan struct{} // closed, and replaced, with each one
}

// A call is a call that has ended, with all its attempts.
type call struct {
	caller       int
	began, ended time.Time
	server       string // that answered
	moved        bool   // an attempt failed and another was made; of clients with one caller only
	err          error
}

func (c call) took() time.Duration { return c.ended.Sub(c.began) }

// startTraffic starts clients, so many callers in each, and returns when they
// know of servers. End it.
func startTraffic(ctx context.Context, zk, root string, clients, callers, servers int) (*traffic, error) {
	ctx, stop := context.WithCancel(ctx)
	t := &traffic{stop: stop, updated: make(chan struct{})}

	for range clients {
		session, err := rpc.NewSession(zk, clientSession)
		if err != nil {
			t.end()
			return nil, err
		}
		client := rpc.NewClient(rpc.NewZKDiscovery(session, root))
		t.clients = append(t.clients, client)

		failed := noteFailures(client)
		for range callers {
			caller := t.n
			t.n++
			t.callers.Go(func() { t.call(ctx, client, failed, caller) })
		}
	}

	late := fmt.Errorf("the clients don't know %d servers after %v", servers, maxWait)
	waiting, cancel := context.WithTimeoutCause(ctx, maxWait, late)
	defer cancel()
	for _, client := range t.clients {
		if err := client.Wait(waiting, servers); err != nil {
			t.end()
			return nil, err
		}
	}
	return t, nil
}

// noteFailures returns what becomes true when an attempt of the client has
// failed: a server can't be connected to, or the client asks whether the call
// may run twice, because it has been sent.
func noteFailures(client *rpc.Client) *atomic.Bool {
	failed := new(atomic.Bool)
	client.Idempotent = func(method string) bool {
		failed.Store(true)
		return rpc.Idempotent(method)
	}

	var dialer net.Dialer
	client.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			failed.Store(true)
		}
		return conn, err
	}
	return failed
}

// end ends callers and clients, and returns when all calls have ended.
func (t *traffic) end() {
	t.stop()
	t.callers.Wait()
	for _, client := range t.clients {
		client.Close()
	}
}

// call calls until ctx ends; the call that is under way then is finished.
func (t *traffic) call(ctx context.Context, client *rpc.Client, failed *atomic.Bool, caller int) {
	if client.Wait(ctx, 1) != nil {
		return
	}
	for i := caller; ; i++ {
		method, params := "ping", any(fmt.Sprint("call ", i))
		want := params
		if i%2 == 1 {
			method, params, want = "pi", i%100, rpc.PiSum(i%100)
		}
		failed.Store(false)
		c := call{caller: caller, began: time.Now()}
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		reply, server, err := client.Call(callCtx, method, params)
		cancel()
		c.ended, c.server, c.moved, c.err = time.Now(), server, failed.Load(), err
		raw, _ := json.Marshal(want) // numbers and strings never fail
		if err == nil && string(reply.Result) != string(raw) {
			c.err = fmt.Errorf("%s(%v): %s gave a wrong answer: %s", method, params, server, reply.Result)
		}

		t.mu.Lock()
		t.calls = append(t.calls, c)
		close(t.updated)
		t.updated = make(chan struct{})
		t.mu.Unlock()

		select {
		case <-time.After(callPause):
		case <-ctx.Done():
			return
		}
	}
}

// since returns the calls that began after a moment and have ended.
func (t *traffic) since(moment time.Time) []call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.calls), func(c call) bool { return c.began.Before(moment) })
}

// await waits until such a call that began after a moment has ended: one of
// each caller's, or one of anybody's.
func (t *traffic) await(ctx context.Context, since time.Time, each bool, such func(call) bool) (first call, err error) {
	late := fmt.Errorf("the calls that were waited for didn't come within %v", maxWait)
	ctx, cancel := context.WithTimeoutCause(ctx, maxWait, late)
	defer cancel()

	seen := make(map[int]bool) // by caller
	for next := 0; ; {
		t.mu.Lock()
		updated, calls := t.updated, t.calls[next:]
		next = len(t.calls)
		t.mu.Unlock()

		for _, c := range calls {
			if c.began.Before(since) || !such(c) {
				continue
			}
			if len(seen) == 0 {
				first = c
			}
			seen[c.caller] = true
			if !each || len(seen) == t.n {
				return first, nil
			}
		}
		select {
		case <-updated:
		case <-ctx.Done():
			return call{}, context.Cause(ctx)
		}
	}
}

// answeredBy is a call to wait for.
func answeredBy(server string) func(call) bool {
	return func(c call) bool { return c.err == nil && c.server == server }
}

// failedCalls counts the calls that failed. The error describes the first of
// them.
func failedCalls(calls []call) (n int, err error) {
	for _, c := range calls {
		if c.err == nil {
			continue
		}
		n++
		if n == 1 {
			err = fmt.Errorf("after %v: %w", c.took(), c.err)
		}
	}
	return n, err
}
