// The client: it keeps one remote per listed server, as the list changes, and
// sends each call to a random one.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

var (
	// ErrNoServer says that no server is listed.
	ErrNoServer = errors.New("no live server")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("the client is closed")
)

// A ReplyError is an error that a server replied with: the call was wrong, or
// too much for the server, or its handler failed.
type ReplyError struct {
	Server  string // its address
	Message string // what it said
}

func (e *ReplyError) Error() string { return fmt.Sprintf("%s replied: %q", e.Server, e.Message) }

// A Client calls the servers that a Discovery finds. It is safe for concurrent
// use; calls share one connection to each server.
type Client struct {
	// Idempotent says whether a method may run twice for one call. Such a call
	// is repeated elsewhere when nobody knows whether a server that failed, or
	// is silent, has run it. The default says so of ping and pi only. Set it
	// before the first Call.
	Idempotent func(method string) bool

	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	remotes map[string]*remote // by address, not by znode: a restarted server may have two; nil: not known yet
	list    []*remote          // the same; replaced, never changed
	updated chan struct{}      // closed, and replaced, when the list has been updated
	closed  bool
}

// NewClient starts to watch what d finds and returns at once.
func NewClient(d Discovery) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		Idempotent: Idempotent,
		cancel:     cancel,
		done:       make(chan struct{}),
		updated:    make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		d.Watch(ctx, c.update)
	}()
	return c
}

// Close ends watching and closes the connections; calls in flight get their
// replies, and later ones ErrClosed. It blocks until the Discovery has
// returned.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()

	c.cancel()
	<-c.done
	c.update(Snapshot{}) // which also wakes those who wait for a list
}

// Wait blocks until it is known which servers there are and there are at least
// so many of them, 0 included. It returns ErrClosed when the client is closed
// meanwhile, and an error that wraps ctx's when ctx ends.
func (c *Client) Wait(ctx context.Context, servers int) error {
	for {
		c.mu.Lock()
		updated, closed := c.updated, c.closed
		enough := c.remotes != nil && len(c.list) >= servers
		c.mu.Unlock()

		switch {
		case closed:
			return ErrClosed
		case enough:
			return nil
		}

		select {
		case <-updated:
		case <-ctx.Done():
			return ctx.Err()
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
		if c.remotes[addr] != nil {
			continue // listed twice
		}

		r := old[addr]
		if r == nil {
			r = &remote{addr: addr}
		}
		delete(old, addr)
		c.remotes[addr] = r
		c.list = append(c.list, r)
	}

	for _, r := range old {
		r.retire()
	}

	close(c.updated)
	c.updated = make(chan struct{})
}

// servers returns those that are listed, at least one. The error is ErrClosed
// or ErrNoServer.
func (c *Client) servers() ([]*remote, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	switch {
	case c.closed:
		return nil, ErrClosed
	case len(c.list) == 0:
		return nil, ErrNoServer
	}
	return c.list, nil
}

// Call calls method at a random server and returns the reply and the server's
// address. It blocks until there is a reply, or none can come any more, or ctx
// ends; before the first list of servers is known it waits for that.
//
// A call that fails at a server moves to another if it can't have run yet or
// may run twice. One that may run twice is also sent to another server, as well
// as to the first, when that is silent: when it has owed replies for two
// seconds without any progress. Then the first answer counts. A call that must
// not run twice waits for its server until ctx ends.
//
// An error reply is an answer: it comes back as a *ReplyError. Other errors
// wrap ErrNoServer, ErrClosed, ctx's error, or that of the last server asked.
func (c *Client) Call(ctx context.Context, method string, params any) (reply Reply, server string, err error) {
	frame, err := callFrame(method, params)
	if err == nil {
		err = c.Wait(ctx, 0)
	}
	if err != nil {
		return Reply{}, "", fmt.Errorf("%s: %w", method, err)
	}

	e := errand{client: c, method: method, frame: frame, outcomes: make(chan outcome, 2*maxAttempts)}
	o, err := e.run(ctx)
	if o.attempt != nil {
		server = o.attempt.remote.addr
	}
	if err == nil {
		err = replyError(server, o.reply)
	}
	if err != nil {
		return o.reply, server, fmt.Errorf("%s: %w", method, err)
	}
	return o.reply, server, nil
}

// callFrame returns the frame of a call.
func callFrame(method string, params any) ([]byte, error) {
	raw, err := encode(params)
	if err != nil {
		return nil, fmt.Errorf("params are not JSON: %w", err)
	}

	body := Request{Method: method, Params: raw}.Append(nil)
	if len(body) > MaxRequest {
		return nil, &FrameTooLongError{Length: uint32(len(body)), Limit: MaxRequest}
	}
	return AppendFrame(nil, body), nil
}

// replyError returns what an error reply says, and nil for any other reply.
func replyError(server string, reply Reply) error {
	if reply.Kind != "error" {
		return nil
	}

	message := string(reply.Result) // if it is no string
	_ = json.Unmarshal(reply.Result, &message)
	return &ReplyError{Server: server, Message: message}
}
