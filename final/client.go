// The client: it sends each call to one of the listed servers, as the balance
// says, and asks another when a server has failed, or is silent or slow, and when
// that is safe.

package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

var (
	// ErrNoServer says that no server is listed.
	ErrNoServer = errors.New("no live server")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("the client is closed")
)

// maxAttempts is how many servers work on one call at most: each of them but the
// last is silent, or too slow for its caller.
const maxAttempts = 4

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
	// is repeated elsewhere when nobody knows whether a server that failed, or
	// is silent, has run it. The default says so of ping and pi only. Set it
	// before the first Call.
	Idempotent func(method string) bool

	cancel context.CancelFunc
	done   chan struct{}

	balance
}

// NewClient starts to watch what d finds and returns at once.
func NewClient(d Discovery) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		Idempotent: func(method string) bool { return method == "ping" || method == "pi" },
		cancel:     cancel,
		done:       make(chan struct{}),
		balance:    balance{updated: make(chan struct{})},
	}
	go func() {
		defer close(c.done)
		d.Watch(ctx, c.update)
	}()
	return c
}

// Close ends watching and closes the connections; calls in flight get their
// replies, and later ones ErrClosed. It blocks until the Discovery has returned.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	<-c.done
	c.update(Snapshot{})
}

// Wait blocks until it is known which servers there are and there are at least
// so many of them, 0 included. It returns ErrClosed when the client is closed
// meanwhile, and an error that wraps ctx's when ctx ends.
func (c *Client) Wait(ctx context.Context, servers int) error { return c.wait(ctx, servers) }

// contextError says why ctx has ended: as its error, which callers test for, and
// as its cause if that says more.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Call calls method at one of the servers and returns the reply and the server's
// address. It blocks until there is a reply, or none can come any more, or ctx
// ends; before the first list of servers is known it waits for that.
//
// A call that fails at a server moves to another if it can't have run yet or may
// run twice. One that may run twice is also sent to another server, as well as to
// the first, when the first is silent, which means that it has owed replies for
// two seconds without any progress, or when half of the time until ctx's deadline
// is over. Then the first answer counts. So a call that may run twice, with a
// deadline of 5 s or more, succeeds as long as at least one listed server would
// answer it, alone, within half of that. Not covered is what all servers together
// can't do in time: too many calls, or one that takes too long.
//
// A call that must not run twice waits for its server until ctx ends or the
// connection is lost.
//
// An error reply is an answer: it comes back as a *ReplyError. Other errors wrap
// ErrNoServer, ErrClosed, ctx's error, or that of the last server asked.
func (c *Client) Call(ctx context.Context, method string, params any) (reply Reply, server string, err error) {
	memory := newCallFrame()
	defer memory.release()
	frame, err := memory.build(method, params)
	if err != nil {
		return reply, "", err
	}

	e := newErrand()
	defer e.finish(c)
	o, err := e.run(ctx, c, frame, method)
	if o.attempt != nil {
		server = o.attempt.remote.addr
	}
	switch {
	case err != nil:
		return reply, server, fmt.Errorf("%s: %w", method, err)
	case o.reply.Kind == "error":
		err = &ReplyError{Server: server, Result: string(o.reply.Result)}
		return o.reply, server, fmt.Errorf("%s: %w", method, err)
	}
	return o.reply, server, nil
}

// An errand is one call under way.
type errand struct {
	outcomes chan outcome // has room for all that its attempts can have at once
	open     []*attempt   // those without a final outcome
	ticket   *ticket      // we wait for a server; nil: we don't
	lost     error        // why the last server failed

	first attempt // most calls have but one
	tries int
}

// start sends the call to a server.
func (e *errand) start(r *remote, frame []byte, halfway int64) {
	a := &e.first
	e.tries++
	if e.tries > 1 {
		a = new(attempt)
	}
	*a = attempt{frame: frame, outcomes: e.outcomes, halfway: halfway}
	e.open = append(e.open, a)
	r.begin(a)
}

// ended takes an attempt out of those that are open.
func (e *errand) ended(a *attempt) {
	e.open = slices.DeleteFunc(e.open, func(other *attempt) bool { return other == a })
}

// leave gives up waiting for a server.
func (e *errand) leave(c *Client) {
	if e.ticket != nil {
		c.balance.leave(e.ticket)
		e.ticket = nil
	}
}

// finish tells all who work on the call, or for it, that nobody waits any more.
func (e *errand) finish(c *Client) {
	e.leave(c)
	for _, a := range e.open {
		a.drop()
	}
	e.release()
}

// run has servers work on a request until one has answered it: then the outcome is
// the answer. With an error it is that of the attempt that decided, if one did.
func (e *errand) run(ctx context.Context, c *Client, frame []byte, method string) (outcome, error) {
	var halfway int64
	deadline, ok := ctx.Deadline()
	if ok {
		now := clock()
		left := int64(deadline.Sub(epoch)) - now
		halfway = now + left/2 - int64(lookInterval) // the next look comes that much later
	}

	wanted, hedge := true, false // a server is to be asked, besides others
	tooLong := false             // one reply was: it can happen to a server, but not to two
	for ctx.Err() == nil {
		if wanted && e.ticket == nil {
			r, ticket, err := c.take(e.open, hedge)
			if err != nil && len(e.open) == 0 {
				return outcome{}, withLast(err, e.lost)
			}
			e.ticket = ticket
			if r != nil {
				e.start(r, frame, halfway)
				wanted = false
			}
		}

		var turn chan *remote
		if e.ticket != nil {
			turn = e.ticket.turn
		}
		select {
		case o := <-e.outcomes:
			if o.silent {
				if !wanted && len(e.open) < maxAttempts && c.Idempotent(method) {
					wanted, hedge = true, true
				}
				continue
			}
			e.ended(o.attempt)
			if o.err == nil {
				o.err = check(method, o.reply)
				if o.err == nil {
					return o, nil
				}
				o.attempt.pipe.fail(o.err)
			}
			if o.tooLong && tooLong || !c.Idempotent(method) && o.written {
				return o, fmt.Errorf("%s: %w", o.attempt.remote.addr, o.err)
			}
			e.lost = fmt.Errorf("%s: %w", o.attempt.remote.addr, o.err)
			tooLong = tooLong || o.tooLong
			if len(e.open) == 0 && hedge { // there is nobody left to wait for: any server will do
				e.leave(c)
				hedge = false
			}
			wanted = true
		case r := <-turn:
			e.ticket = nil
			if r != nil {
				e.start(r, frame, halfway)
				c.started(r)
				wanted = false
			}
		case <-ctx.Done():
		}
	}

	for len(e.outcomes) > 0 { // an answer that came together with the end still counts
		o := <-e.outcomes
		if !o.silent && o.err == nil {
			e.ended(o.attempt)
			return o, nil
		}
	}
	return outcome{}, withLast(contextError(ctx), e.lost)
}

// kinds has what the replies of the methods that we know are called. A reply of
// another kind belongs to another call: the server has sent one too many, or one
// too few.
var kinds = map[string]string{"ping": "pong", "pi": "pi_r"}

// check returns an error if a reply can't be the one to a call of method.
func check(method string, reply Reply) error {
	want := kinds[method]
	if want == "" || reply.Kind == want || reply.Kind == "error" {
		return nil
	}
	return fmt.Errorf("a reply of the kind %q to %s: the server's replies are out of step", clip(reply.Kind), method)
}

// withLast adds to an error what became of the last server that was asked.
func withLast(err, lost error) error {
	if lost == nil {
		return err
	}
	return fmt.Errorf("%w; last, %w", err, lost)
}

// worksOn reports whether one of the attempts is at that server.
func worksOn(r *remote, open []*attempt) bool {
	return slices.ContainsFunc(open, func(a *attempt) bool { return a.remote == r })
}
