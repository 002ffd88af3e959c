// One call under way: it moves to another server when one has failed, or is
// silent or slow, and when that is safe.

package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	// maxAttempts is how many servers work on one call at most. Another is
	// asked when one is silent; and from halfway on, one after the other at the
	// looks that follow, because whoever is asked later than that has less time
	// than the server that Call promises to find may need.
	maxAttempts = 4
)

// An errand is one call under way. It belongs to the caller's goroutine.
type errand struct {
	client  *Client
	method  string
	frame   []byte
	halfway int64 // when half of the caller's time is over, by clock; 0: that has no end

	outcomes chan outcome // has room for two of each attempt in open
	open     []*attempt   // the attempts without a final outcome

	isNeeded bool    // the call needs another server
	ticket   *ticket // our place among those who wait for one; nil: we don't wait

	// What has failed.
	lost    error // why the last server failed
	tooLong bool  // one reply was too long: that can happen to a server, but not to two

	// Most calls have but one attempt, for which there is memory here.
	first attempt
	tries int
}

// run has servers work on the request until one has answered it. It returns the
// outcome with that answer; or an error, with the outcome of the attempt whose
// failure decided, if there was one.
func (e *errand) run(ctx context.Context) (outcome, error) {
	deadline, ok := ctx.Deadline()
	if ok {
		now := clock()
		left := int64(deadline.Sub(epoch)) - now
		e.halfway = now + left/2 - int64(e.client.lookInterval()) // the next look comes that much later
	}

	e.isNeeded = true
	for ctx.Err() == nil {
		if e.isNeeded && e.ticket == nil {
			err := e.askOne()
			if err != nil {
				return outcome{}, withLast(err, e.lost)
			}
		}

		o, isFinal, err := e.await(ctx)
		if isFinal {
			return o, err
		}
	}

	return e.lastAnswer(contextError(ctx))
}

// askOne sends the request to one more server, or takes a ticket with which to
// wait for one. The error says that no server is listed, and none works on the
// call.
func (e *errand) askOne() error {
	r, ticket, err := e.client.take(e.open)
	if err != nil && len(e.open) == 0 {
		return err
	}

	e.ticket = ticket
	if r != nil {
		e.start(r)
		e.isNeeded = false
	}
	return nil
}

// await blocks until something happens: to an attempt, a server has room, or
// ctx ends. It reports whether that decides the call.
func (e *errand) await(ctx context.Context) (o outcome, isFinal bool, err error) {
	select {
	case o = <-e.outcomes:
		if o.warning {
			e.isNeeded = e.isNeeded || e.mayBeHedged()
			return o, false, nil
		}

		isFinal, err = e.judge(o)
		e.isNeeded = true

	case r := <-e.turn():
		e.ticket = nil
		if r != nil {
			e.start(r)
			e.client.started(r)
			e.isNeeded = false
		}

	case <-ctx.Done():
	}

	return o, isFinal, err
}

// start sends the request to a server.
func (e *errand) start(r *remote) {
	a := &e.first
	if e.tries > 0 {
		a = new(attempt)
	}
	e.tries++

	*a = attempt{frame: e.frame, outcomes: e.outcomes, halfway: e.halfway}
	e.open = append(e.open, a)
	r.begin(a)
}

// mayBeHedged reports whether one more server may work on the call.
func (e *errand) mayBeHedged() bool {
	return len(e.open) < maxAttempts && e.client.mayRunTwice(e.method)
}

// turn returns the channel that delivers the server that we wait for.
func (e *errand) turn() <-chan *remote {
	if e.ticket == nil {
		return nil
	}
	return e.ticket.turn
}

// leave gives up waiting for a server.
func (e *errand) leave() {
	if e.ticket != nil {
		e.client.leave(e.ticket)
		e.ticket = nil
	}
}

// finish tells all who work on the call, or for it, that nobody waits any more.
func (e *errand) finish() {
	e.leave()
	for _, a := range e.open {
		a.drop()
	}
	e.release()
}

// judge takes an attempt's final outcome. It reports whether that is the
// call's, too: an answer, or a failure that another server must not make good,
// or can't.
func (e *errand) judge(o outcome) (isFinal bool, err error) {
	e.ended(o.attempt)
	err = o.err
	if err == nil {
		err = check(e.method, o.reply)
		if err == nil {
			return true, nil
		}
		o.attempt.pipe.breakOff(err)
	}

	e.lost = fmt.Errorf("%s: %w", o.attempt.remote.addr, err)
	if o.tooLong && e.tooLong || o.written && !e.client.mayRunTwice(e.method) {
		return true, e.lost
	}
	e.tooLong = e.tooLong || o.tooLong
	if len(e.open) == 0 {
		e.leave() // there is nobody left to hedge: any server will do
	}
	return false, nil
}

// ended takes an attempt out of those that are open.
func (e *errand) ended(a *attempt) {
	e.open = slices.DeleteFunc(e.open, func(other *attempt) bool { return other == a })
}

// lastAnswer returns an answer that came together with the end of the call. If
// there is none, the error is ended, which says why the call has.
func (e *errand) lastAnswer(ended error) (outcome, error) {
	for len(e.outcomes) > 0 {
		o := <-e.outcomes
		if o.warning {
			continue
		}

		isFinal, err := e.judge(o)
		if isFinal && err == nil {
			return o, nil
		}
	}
	return outcome{}, withLast(ended, e.lost)
}

// check returns an error if a reply can't be the one to a call of method: it
// belongs to another call then, and the server has sent one too many, or one
// too few.
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

// contextError says why ctx has ended: as its error, which callers test for,
// and as its cause if that says more.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
