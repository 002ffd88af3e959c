// The client: it sends each call to one of the listed servers, as the balance
// says.

package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	ClientOptions

	cancel context.CancelFunc
	done   chan struct{}

	balance
}

// NewClient starts to watch what d finds and returns at once.
func NewClient(d Discovery) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		cancel:  cancel,
		done:    make(chan struct{}),
		balance: balance{updated: make(chan struct{})},
	}
	c.options = &c.ClientOptions

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
func (c *Client) Wait(ctx context.Context, servers int) error { return c.waitFor(ctx, servers) }

// Call calls method at one of the servers and returns the reply and the
// server's address. It blocks until there is a reply, or none can come any
// more, or ctx ends; before the first list of servers is known it waits for
// that.
//
// A call that fails at a server moves to another if it can't have run yet or
// may run twice. One that may run twice is also sent to another server, as well
// as to the first, when the first is silent, which means that it has owed
// replies for ClientOptions.Silence without any progress, or when half of the
// time until ctx's deadline is over. Then the first answer counts. So a call
// that may run twice, with a deadline of 5 s or more, succeeds as long as at
// least one listed server would answer it, alone, within half of that. Not
// covered is what all servers together can't do in time: too many calls, or one
// that takes too long.
//
// A call that must not run twice waits for its server until ctx ends or the
// connection is lost.
//
// An error reply is an answer: it comes back as a *ReplyError. Other errors
// wrap ErrNoServer, ErrClosed, ctx's error, or that of the last server asked.
func (c *Client) Call(ctx context.Context, method string, params any) (reply Reply, server string, err error) {
	c.underWay.Add(1)
	defer c.underWay.Add(-1)

	memory := newCallFrame()
	defer memory.release()
	frame, err := memory.build(method, params)
	if err != nil {
		return Reply{}, "", fmt.Errorf("%s: %w", method, err)
	}

	e := newErrand(c, method, frame)
	defer e.finish()
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

// CallInto is Call for a caller who knows of what type the result is: it is
// stored in what result points to, as json.Unmarshal does that. An error that
// says that it doesn't fit wraps json.Unmarshal's; the call has been made then.
func (c *Client) CallInto(ctx context.Context, method string, params, result any) error {
	reply, server, err := c.Call(ctx, method, params)
	if err != nil {
		return err
	}

	err = json.Unmarshal(reply.Result, result)
	if err != nil {
		return fmt.Errorf("%s: the result from %s: %w", method, server, err)
	}
	return nil
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
