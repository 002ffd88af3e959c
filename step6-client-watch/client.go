// The client: it keeps one remote per listed server, sends each call to a
// random one, and asks another when a server has failed or is silent and when
// that is safe.

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

var (
	// ErrNoServer says that no server is listed.
	ErrNoServer = errors.New("no live server")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("the client is closed")
)

const (
	// maxAttempts is how many servers work on one call at most: each of them but
	// the last is silent.
	maxAttempts = 4
	// recently is how long after its last answer we trust that a server is there.
	recently = time.Second
)

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

	mu      sync.Mutex
	remotes map[string]*remote // by address, not by znode: a restarted server may have two for a while; nil: not known yet
	list    []*remote          // the same
	updated chan struct{}      // closed, and replaced, when the list has been updated
	closed  bool
}

// NewClient starts to watch what d finds and returns at once.
func NewClient(d Discovery) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		Idempotent: func(method string) bool { return method == "ping" || method == "pi" },
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
			return contextError(ctx)
		}
	}
}

// contextError says why ctx has ended: as its error, which callers test for, and
// as its cause if that says more.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
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

// Call calls method at a random server and returns the reply and the server's
// address. It blocks until there is a reply, or none can come any more, or ctx
// ends; before the first list of servers is known it waits for that.
//
// A call that fails at a server moves to another if it can't have run yet or may
// run twice. One that may run twice is also sent to another server, as well as
// to the first, when that is silent: when it has owed replies for two seconds
// without any progress. Then the first answer counts. A call that must not run
// twice waits for its server until ctx ends.
//
// An error reply is an answer: it comes back as a *ReplyError. Other errors wrap
// ErrNoServer, ErrClosed, ctx's error, or that of the last server asked.
func (c *Client) Call(ctx context.Context, method string, params any) (reply Reply, server string, err error) {
	raw, err := encode(params)
	if err != nil {
		return reply, "", fmt.Errorf("%s: params are not JSON: %w", method, err)
	}
	body := Request{Method: method, Params: raw}.Append(nil)
	if len(body) > MaxRequest {
		return reply, "", fmt.Errorf("%s: %w", method, &FrameTooLongError{Length: uint32(len(body)), Limit: MaxRequest})
	}
	err = c.Wait(ctx, 0)
	if err != nil {
		return reply, "", fmt.Errorf("%s: %w", method, err)
	}

	o, err := c.ask(ctx, AppendFrame(nil, body), method)
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

// ask has servers work on a request, one after the other, until one has answered
// it: then the outcome is the answer. With an error it is that of the attempt
// that decided, if one did.
func (c *Client) ask(ctx context.Context, frame []byte, method string) (outcome, error) {
	idempotent := c.Idempotent(method)
	outcomes := make(chan outcome, 4*maxAttempts) // more than all of them can have
	var open []*attempt                           // without a final outcome
	defer func() {
		for _, a := range open {
			a.drop()
		}
	}()

	ctx, cancel := context.WithCancel(ctx) // ends what find does for us
	defer cancel()

	var lost error         // why the last server failed
	var found chan *remote // delivers a server that is there, while we look for one
	wanted := true         // some server is to be asked
	anyone := true         // one that is set aside, if all are
	tooLong := false       // one reply was: it can happen to a server, but not to two
	for ctx.Err() == nil {
		var pause <-chan time.Time
		if wanted {
			r, err := c.pick(open, anyone)
			switch {
			case r != nil:
				open = append(open, r.start(frame, outcomes))
				wanted, anyone = false, false
			case err != nil && len(open) == 0:
				return outcome{}, withLast(err, lost)
			default: // all have failed: begin again, but not in a hurry
				pause = time.After(firstAside)
			}
		}

		select {
		case o := <-outcomes:
			if o.silent {
				if idempotent && found == nil && len(open) < maxAttempts {
					found = make(chan *remote, 1)
					go c.find(ctx, slices.Clone(open), found)
				}
				continue
			}
			open = slices.DeleteFunc(open, func(a *attempt) bool { return a == o.attempt })
			if o.err == nil {
				o.err = check(method, o.reply)
				if o.err == nil {
					return o, nil
				}
				o.attempt.pipe.fail(o.err)
			}
			if o.tooLong && tooLong || o.written && !idempotent {
				return o, fmt.Errorf("%s: %w", o.attempt.remote.addr, o.err)
			}
			lost = fmt.Errorf("%s: %w", o.attempt.remote.addr, o.err)
			tooLong = tooLong || o.tooLong
			wanted = len(open) == 0 || found == nil
		case r := <-found:
			found = nil
			open = append(open, r.start(frame, outcomes))
		case <-pause:
			anyone = true
		case <-ctx.Done():
		}
	}

	for len(outcomes) > 0 { // an answer that came together with the end still counts
		o := <-outcomes
		if !o.silent && o.err == nil {
			return o, nil
		}
	}
	return outcome{}, withLast(contextError(ctx), lost)
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

// find sends found a server that can take a call when those that work on it are
// silent: one that has just answered others, or else the first to answer a ping,
// which is sent to all. To send them the call itself would have each of them
// begin its work. It returns when it has found one, or ctx ends.
func (c *Client) find(ctx context.Context, open []*attempt, found chan<- *remote) {
	for anyone := false; ctx.Err() == nil; anyone = true {
		var candidates []*remote
		for _, r := range c.others(open) {
			if r.aside.Load() == 0 && !r.silent.Load() && clock()-r.lively.Load() < int64(recently) {
				found <- r
				return
			}
			if r.claim() || anyone && !r.silent.Load() {
				candidates = append(candidates, r)
			}
		}

		r := c.firstToAnswer(ctx, candidates)
		if r != nil {
			found <- r
			return
		}
		select {
		case <-time.After(firstAside):
		case <-ctx.Done():
		}
	}
}

// firstToAnswer pings servers, all at once, and returns the first that answers.
// It returns nil when all have failed or are silent, or ctx ends.
func (c *Client) firstToAnswer(ctx context.Context, servers []*remote) *remote {
	ping := AppendFrame(nil, Request{Method: "ping", Params: []byte("null")}.Append(nil))
	outcomes := make(chan outcome, 2*len(servers))
	for _, r := range servers {
		a := r.start(ping, outcomes)
		defer a.drop()
	}
	for range servers {
		select {
		case o := <-outcomes:
			if o.err == nil && !o.silent {
				return o.attempt.remote
			}
			o.attempt.drop()
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// others returns the servers that don't work on a call, in any order.
func (c *Client) others(open []*attempt) (others []*remote) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range rand.Perm(len(c.list)) {
		if !worksOn(c.list[i], open) {
			others = append(others, c.list[i])
		}
	}
	return others
}

// worksOn reports whether one of the attempts is at that server.
func worksOn(r *remote, open []*attempt) bool {
	return slices.ContainsFunc(open, func(a *attempt) bool { return a.remote == r })
}

// pick returns a random server for a new call: not one that works on this call
// already, and not one that is silent; nor one that is set aside, unless anyone
// will do and there is no other. It returns nil if there is none at the moment,
// with an error if there is no server at all.
func (c *Client) pick(open []*attempt, anyone bool) (*remote, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, ErrClosed
	case len(c.list) == 0:
		return nil, ErrNoServer
	}

	for range 3 { // mostly one of these will do
		r := c.list[rand.N(len(c.list))]
		if !worksOn(r, open) && r.claim() {
			return r, nil
		}
	}
	first := rand.N(len(c.list))
	turned := slices.Concat(c.list[first:], c.list[:first])
	at := slices.IndexFunc(turned, func(r *remote) bool { return !worksOn(r, open) && r.claim() })
	if at < 0 && anyone {
		at = slices.IndexFunc(turned, func(r *remote) bool { return !worksOn(r, open) && !r.silent.Load() })
	}
	if at < 0 {
		return nil, nil
	}
	return turned[at], nil
}
