// One server as the client sees it: whether it is a good choice for a call, and
// its connection, which is made when first needed and shared by all calls.

package rpc

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxOutstanding = 1024 // calls at one server

	firstAside   = 100 * time.Millisecond // how long to avoid a server after its first failure
	maxAside     = 5 * time.Second
	maxDoublings = 10 // of firstAside: more than reach maxAside

	// recently is how long after it made progress we trust that a server is
	// there.
	recently = time.Second
)

var errRetired = errors.New("no longer listed")

// A remote is one server, by address. It is safe for concurrent use.
type remote struct {
	addr    string
	options *ClientOptions // nil: the defaults

	// Whether it is a good choice for a new call. That is asked without a lock,
	// and may change at any moment.
	silent      atomic.Bool  // its connection owes replies and makes no progress
	outstanding atomic.Int32 // calls that it has not answered, abandoned ones too
	failures    atomic.Int32 // failures since it was last good for a while
	lastFailure atomic.Int64 // when it last failed, by clock; 0: never
	avoidUntil  atomic.Int64 // when its time aside is over, by clock; 0: it is trusted
	lively      atomic.Int64 // when it was last seen to make progress, by clock; 0: never
	standing    standing     // among the servers that calls are balanced over

	// For the statistics.
	answers atomic.Int64 // calls whose callers have its reply
	losses  atomic.Int64 // calls that it was given in vain

	// Lock order: remote.mu, pipe.mu, balance.mu.
	mu      sync.Mutex
	pipe    *pipe // nil: none yet, or it broke
	retired bool
}

// epoch is when the clock stood at 0: an hour before we began, so that 0 can
// mean never.
var epoch = time.Now().Add(-time.Hour)

// clock is the time in nanoseconds, counted so that setting the machine's clock
// doesn't matter.
func clock() int64 { return int64(time.Since(epoch)) }

// start sends a call to the server, without waiting. The frame must stay as it
// is until the attempt has ended or is dropped. Outcomes must have room for
// two, a warning and the final one: they are sent with locks held.
func (r *remote) start(frame []byte, outcomes chan<- outcome) *attempt {
	a := &attempt{frame: frame, outcomes: outcomes}
	r.begin(a)
	return a
}

// begin is start for an attempt that is there already.
func (r *remote) begin(a *attempt) {
	a.remote, a.began = r, clock()
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.retired {
		a.end(outcome{err: errRetired})
		return
	}

	if r.pipe == nil {
		r.pipe = newPipe(r)
		go r.pipe.run()
	}
	a.pipe = r.pipe
	r.pipe.send(a)
}

// retire takes no more calls, and closes when those in flight are answered.
func (r *remote) retire() {
	r.mu.Lock()
	r.retired = true
	p := r.pipe
	r.mu.Unlock()

	if p != nil {
		p.retire()
	}
}

// forget takes a pipe that broke out of use.
func (r *remote) forget(p *pipe) {
	r.mu.Lock()
	if r.pipe == p {
		r.pipe = nil
		r.silent.Store(false)
	}
	r.mu.Unlock()

	r.changed()
}

// changed tells the balance that the server may be a better choice than before,
// or a worse one.
func (r *remote) changed() {
	if r.standing.balance != nil {
		r.standing.balance.changed(r)
	}
}

// answered is changed for a server that has just answered.
func (r *remote) answered() {
	if r.standing.balance != nil {
		r.standing.balance.answered(r)
	}
}

// isShared reports whether the client has more than one call under way.
func (r *remote) isShared() bool {
	return r.standing.balance != nil && r.standing.balance.underWay.Load() > 1
}

// isAvailable reports whether the server is neither silent nor set aside.
func (r *remote) isAvailable() bool {
	return !r.silent.Load() && r.avoidUntil.Load() == 0
}

// isLively reports whether the server is trusted and has recently made progress
// with any call.
func (r *remote) isLively() bool {
	return r.avoidUntil.Load() == 0 && clock()-r.lively.Load() < int64(recently)
}

// blame sets the server aside: it has failed.
func (r *remote) blame() {
	r.failures.Add(1)
	r.lastFailure.Store(clock())
	r.avoidUntil.Store(clock() + r.pause())
	r.standing.window.Store(1)
	r.changed()
}

// praise notes that the server has answered: it is trusted again at once. Its
// failures are forgotten only after maxAside without another one, so that a
// server that fails between answers is avoided for longer each time.
func (r *remote) praise() {
	if r.failures.Load() == 0 {
		return
	}

	r.avoidUntil.Store(0)
	if clock()-r.lastFailure.Load() > int64(maxAside) {
		r.failures.Store(0)
	}
}

// pause returns for how long to leave the server alone after its last failure,
// in nanoseconds. It is partly left to chance: a thousand clients must not come
// back together.
func (r *remote) pause() int64 {
	doublings := max(0, min(r.failures.Load()-1, maxDoublings))
	pause := min(firstAside<<doublings, maxAside)
	return int64(pause/2 + rand.N(pause/2))
}
