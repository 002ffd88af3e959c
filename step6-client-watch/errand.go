// One call under way: it moves to another server when one has failed, or is
// silent, and when that is safe.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// maxAttempts is how many servers work on one call at most: another is
	// asked when all so far are silent.
	maxAttempts = 4
	// maxGuesses is how often chance is asked before all servers are looked at.
	maxGuesses = 3
)

// An errand is one call under way. It belongs to the caller's goroutine.
type errand struct {
	client   *Client
	method   string
	frame    []byte
	outcomes chan outcome // has room for two of each attempt in open
	open     []*attempt   // the attempts without a final outcome
	lost     error        // why the last server failed

	need  need         // of a server, besides those in open
	found chan *remote // delivers a server that answers; nil: find isn't looking for one
}

// A need is which server a call needs, as the next to work on it.
type need int

const (
	needNone    need = iota // those that work on it are enough, or find looks for another
	needTrusted             // one that isn't set aside
	needAny                 // one that is set aside will do, too, if there is no other
)

// run has servers work on the request until one has answered it. It returns the
// outcome with that answer; or an error, with the outcome of the attempt whose
// failure decided, if there was one.
func (e *errand) run(ctx context.Context) (outcome, error) {
	defer e.dropAll()
	ctx, cancel := context.WithCancel(ctx) // ends what find does for us
	defer cancel()

	e.need = needAny
	for ctx.Err() == nil {
		var pause <-chan time.Time
		if e.need != needNone {
			err := e.askOne()
			if err != nil {
				return outcome{}, withLast(err, e.lost)
			}
			if e.need != needNone { // no server may have the call now: begin again, but not in a hurry
				pause = time.After(firstAside)
			}
		}

		o, isFinal, err := e.await(ctx, pause)
		if isFinal {
			return o, err
		}
	}

	return outcome{}, withLast(ctx.Err(), e.lost)
}

// askOne sends the request to a server that may have it, if there is one. The
// error says that no server is listed, and none works on the call.
func (e *errand) askOne() error {
	servers, err := e.client.servers()
	if err != nil && len(e.open) == 0 {
		return err
	}

	r := e.pick(servers)
	if r != nil {
		e.start(r)
	}
	return nil
}

// await blocks until something happens: to an attempt, a server is found, the
// pause is over, or ctx ends. It reports whether that decides the call.
func (e *errand) await(ctx context.Context, pause <-chan time.Time) (o outcome, isFinal bool, err error) {
	select {
	case o = <-e.outcomes:
		if o.warning {
			e.lookForAnother(ctx)
			return o, false, nil
		}

		isFinal, err = e.judge(o)
		isLooking := e.found != nil
		if len(e.open) == 0 || !isLooking {
			e.need = max(e.need, needTrusted)
		}

	case r := <-e.found:
		e.start(r)

	case <-pause:
		e.need = needAny
	case <-ctx.Done():
	}

	return o, isFinal, err
}

// pick returns a random server that may have the call, or nil. One that is set
// aside may not, unless any will do and there is no other.
func (e *errand) pick(servers []*remote) *remote {
	for range min(maxGuesses, len(servers)) { // mostly one of these will do
		r := servers[rand.N(len(servers))]
		if !worksOn(r, e.open) && r.claim() {
			return r
		}
	}

	r := anyOf(servers, func(r *remote) bool { return !worksOn(r, e.open) && r.claim() })
	if r == nil && e.need == needAny {
		r = anyOf(servers, func(r *remote) bool { return !worksOn(r, e.open) && r.hasRoom() })
	}
	return r
}

// start sends the request to a server. That is all that the call needs, so that
// what find may find from now on comes too late.
func (e *errand) start(r *remote) {
	e.open = append(e.open, r.start(e.frame, e.outcomes))
	e.need = needNone
	e.found = nil
}

// dropAll tells all who work on the call that nobody waits any more.
func (e *errand) dropAll() {
	for _, a := range e.open {
		a.drop()
	}
}

// judge takes an attempt's final outcome. It reports whether that is the
// call's, too: an answer, or a failure that another server must not make good.
func (e *errand) judge(o outcome) (isFinal bool, err error) {
	e.open = slices.DeleteFunc(e.open, func(a *attempt) bool { return a == o.attempt })
	if o.err == nil {
		return true, nil
	}

	e.lost = fmt.Errorf("%s: %w", o.attempt.remote.addr, o.err)
	if o.written && !e.client.Idempotent(e.method) {
		return true, e.lost
	}
	return false, nil
}

// lookForAnother begins to look for a server to be asked, besides those that
// are silent, if the call may run twice.
func (e *errand) lookForAnother(ctx context.Context) {
	if e.found == nil && len(e.open) < maxAttempts && e.client.Idempotent(e.method) {
		e.found = make(chan *remote, 1)
		go find(ctx, e.client, slices.Clone(e.open), e.found)
	}
}

// withLast adds to an error what became of the last server that was asked.
func withLast(err, lost error) error {
	if lost == nil {
		return err
	}
	return fmt.Errorf("%w; last, %w", err, lost)
}

// find delivers a server that can take a call when those that work on it are
// silent. It prefers one that has just answered others. If there is none, it
// pings them all, and takes the first that answers: if it sent them the call
// itself, each of them would begin to work on it. It returns when it has found
// one, or ctx ends.
func find(ctx context.Context, c *Client, open []*attempt, found chan<- *remote) {
	for ctx.Err() == nil {
		servers, _ := c.servers() // perhaps none: there may be one soon
		candidates := others(servers, open)
		r := anyOf(candidates, (*remote).isLively)
		if r == nil {
			r = firstToAnswer(ctx, candidates)
		}
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
func firstToAnswer(ctx context.Context, servers []*remote) *remote {
	ping := AppendFrame(nil, Request{Method: "ping", Params: []byte("null")}.Append(nil))
	outcomes := make(chan outcome, 2*len(servers))
	waiting := make(map[*attempt]bool)
	for _, r := range servers {
		a := r.start(ping, outcomes)
		defer a.drop() // all of them at the end of this function
		waiting[a] = true
	}

	for len(waiting) > 0 {
		select {
		case o := <-outcomes:
			if o.err == nil && !o.warning {
				return o.attempt.remote
			}
			o.attempt.drop()
			delete(waiting, o.attempt) // nothing happens at a second outcome, after a warning
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// others returns the servers that have room and don't work on a call yet.
func others(servers []*remote, open []*attempt) []*remote {
	return slices.DeleteFunc(slices.Clone(servers), func(r *remote) bool { return worksOn(r, open) || !r.hasRoom() })
}

// worksOn reports whether one of the attempts is at that server.
func worksOn(r *remote, open []*attempt) bool {
	return slices.ContainsFunc(open, func(a *attempt) bool { return a.remote == r })
}

// anyOf returns the first server that fits, from a random one on, or nil.
func anyOf(servers []*remote, fits func(*remote) bool) *remote {
	if len(servers) == 0 {
		return nil
	}

	start := rand.N(len(servers))
	for i := range servers {
		r := servers[(start+i)%len(servers)]
		if fits(r) {
			return r
		}
	}
	return nil
}
