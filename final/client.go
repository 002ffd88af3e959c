// The client: it keeps one remote per listed server, sends each call to a
// random one, and moves a call that failed to another when that is safe.

package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// ErrNoServer says that no server is listed.
var ErrNoServer = errors.New("no live server")

// A ReplyError is an error that a server replied with. The server works; the
// call was wrong.
type ReplyError struct {
	Server string // its address
	Result string // what it said, as JSON
}

func (e *ReplyError) Error() string { return fmt.Sprintf("%s replied: %s", e.Server, e.Result) }

// A Client calls the servers that a Discovery finds. It is safe for concurrent
// use; calls share one connection to each server.
type Client struct {
	// Idempotent says whether a method may run twice for one call. Such a call
	// is repeated elsewhere when nobody knows whether a server that failed had
	// run it. The default says so of ping and pi only. Set it before the first
	// Call.
	Idempotent func(method string) bool

	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	remotes map[string]*remote // by address, not by znode: a restarted server may have two for a while
	list    []*remote          // the same
	updated chan struct{}      // closed, and replaced, when the list has been updated
}

// NewClient starts to watch what d finds and returns at once.
func NewClient(d Discovery) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		Idempotent: func(method string) bool { return method == "ping" || method == "pi" },
		cancel:     cancel, done: make(chan struct{}),
		updated: make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		d.Watch(ctx, c.update)
		c.update(Snapshot{})
	}()
	return c
}

// Close ends watching and closes the connections; calls in flight get their
// replies. It blocks until the Discovery has returned.
func (c *Client) Close() {
	c.cancel()
	<-c.done
}

// Wait blocks until it is known which servers there are and there are at least
// so many of them, 0 included.
func (c *Client) Wait(ctx context.Context, servers int) error {
	for {
		c.mu.Lock()
		updated, enough := c.updated, c.remotes != nil && len(c.list) >= servers
		c.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-updated:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// update takes the complete new set: survivors stay, with their connections;
// newcomers connect when first called; the others finish what they have.
func (c *Client) update(s Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.remotes
	c.remotes, c.list = make(map[string]*remote, len(s.Servers)), nil
	for _, addr := range s.Servers {
		r := old[addr]
		if r == nil {
			r = &remote{addr: addr}
		}
		delete(old, addr)
		c.remotes[addr], c.list = r, append(c.list, r)
	}
	for _, r := range old {
		r.retire()
	}
	close(c.updated)
	c.updated = make(chan struct{})
}

// Call calls method at a random server and returns the reply and the server's
// address. A call that fails there moves to another server if it can't have
// run yet or may run twice, until ctx ends: ctx bounds the whole. So an
// idempotent call with 5 s or more succeeds as long as at least one listed
// server serves: a server that owes replies and sends no byte for 2 s doesn't.
// An error reply is an answer: it comes back as a *ReplyError.
func (c *Client) Call(ctx context.Context, method string, params any) (reply Reply, server string, err error) {
	memory := newCallFrame()
	defer memory.release()
	frame, err := memory.build(method, params)
	if err != nil {
		return reply, "", err
	}
	var tried []*remote
	for hung := false; ; {
		r, untried := c.pick(tried)
		switch {
		case ctx.Err() != nil:
			return reply, "", fmt.Errorf("%s: %w", method, errors.Join(context.Cause(ctx), err))
		case r == nil:
			return reply, "", fmt.Errorf("%s: %w", method, errors.Join(ErrNoServer, err))
		case untried == 0: // everyone has failed: begin again, but not in a hurry
			tried = nil
			select {
			case <-time.After(firstAside):
			case <-ctx.Done():
			}
			continue
		}
		attempt, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok && hung {
			// One server has kept us waiting: leave time for all the others, and
			// give each as much as an answer takes.
			attempt, cancel = context.WithTimeout(ctx, max(silence/20, time.Until(deadline)/time.Duration(untried)))
		}
		began := time.Now()
		o := r.call(attempt, frame)
		cancel()
		switch {
		case o.err == nil && o.reply.Kind == "error":
			return o.reply, r.addr, fmt.Errorf("%s: %w", method, &ReplyError{Server: r.addr, Result: string(o.reply.Result)})
		case o.err == nil:
			return o.reply, r.addr, nil
		case ctx.Err() != nil, o.written && !c.Idempotent(method):
			return reply, r.addr, fmt.Errorf("%s: %s: %w", method, r.addr, o.err)
		}
		err, tried = fmt.Errorf("%s: %w", r.addr, o.err), append(tried, r)
		hung = hung || c.Idempotent(method) && time.Since(began) >= silence/2
	}
}

// pick returns a random server and how many have not been tried; it avoids
// those that were tried, and those set aside while there are others.
func (c *Client) pick(tried []*remote) (r *remote, untried int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().UnixNano()
	if len(c.list) == 0 {
		return nil, 0
	}
	if r = c.list[rand.N(len(c.list))]; len(tried) == 0 && r.aside.Load() <= now {
		return r, len(c.list)
	}
	left := slices.DeleteFunc(slices.Clone(c.list), func(r *remote) bool { return slices.Contains(tried, r) })
	calm := slices.DeleteFunc(slices.Clone(left), func(r *remote) bool { return r.aside.Load() > now })
	if len(calm) == 0 {
		calm = left
	}
	if len(calm) > 0 {
		r = calm[rand.N(len(calm))]
	}
	return r, len(left)
}
