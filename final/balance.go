// Balance: which of the listed servers a call goes to. Load shows in what is
// outstanding: of two random servers, the one that owes us fewer replies is the
// better choice. Callers for whom no server has room wait here, where they can
// leave without having cost a server anything. How much room there is says
// window.go, and which servers get no calls at all aside.go.

package rpc

import (
	"container/list"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
)

// hedgeShare is how often hedges come before calls: at every so manyth answer.
// More often, they would double the work of servers that have too much of it.
const hedgeShare = 4

// A balance is the servers of one client. It is safe for concurrent use. The
// lock of a connection may be held when it is called, so it calls none itself
// while it holds its own.
//
// A listed server is in ready if it has room for a call, or had it when we last
// looked; it is in aside if it failed; else it is full, or silent. While
// anybody waits in calls, ready is empty.
type balance struct {
	waiting atomic.Int32 // callers in calls and hedges

	options *ClientOptions // of connections, and of the choice; nil: the defaults

	mu      sync.Mutex
	remotes map[string]*remote // by address; nil: not known yet
	list    []*remote          // the same
	updated chan struct{}      // closed, and replaced, when the list has been updated
	closed  bool

	// The servers, by what they are good for.
	ready []*remote
	aside asideHeap // the next to be tried first

	// Those who wait, as *ticket.
	calls   list.List // for any server
	hedges  list.List // for a server that answers, besides those that they have
	answers int       // while they waited

	// Finding out about servers.
	probes    int  // pings under way
	searching bool // search is running
}

// A ticket is the place of a caller who waits for a server.
type ticket struct {
	turn    chan *remote // delivers one; nil: look again
	open    []*attempt   // not at one of these
	queue   *list.List   // nil: it has had its turn
	element *list.Element
}

// take returns a server for a call, or else a ticket with which to wait for
// one. The error is ErrClosed or ErrNoServer.
func (b *balance) take() (*remote, *ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	err := b.refusal()
	if err != nil {
		return nil, nil, err
	}
	b.probeNext()
	r := b.pick()
	if r != nil {
		return r, nil, nil
	}
	return nil, b.wait(&b.calls, nil), nil
}

// takeHedge is take for a call that has waited long for those that work on it
// already: it goes to a server that answers, or to none.
func (b *balance) takeHedge(open []*attempt) (*remote, *ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	err := b.refusal()
	if err != nil {
		return nil, nil, err
	}
	b.probeNext()
	r := b.pickLively(open)
	if r != nil {
		return r, nil, nil
	}
	return nil, b.wait(&b.hedges, open), nil
}

// refusal returns why no server can be had, if that is so. The caller holds the
// lock.
func (b *balance) refusal() error {
	switch {
	case b.closed:
		return ErrClosed
	case b.remotes != nil && len(b.list) == 0:
		return ErrNoServer
	}
	return nil
}

// wait puts a caller into a queue. The caller holds the lock.
func (b *balance) wait(queue *list.List, open []*attempt) *ticket {
	// Others look at the ticket while the caller's own list changes.
	t := &ticket{turn: make(chan *remote, 1), open: slices.Clone(open), queue: queue}
	t.element = queue.PushBack(t)
	b.waiting.Add(1)

	if !b.searching {
		b.searching = true
		go b.search()
	}
	return t
}

// dequeue takes a ticket out of its queue. The caller holds the lock.
func (b *balance) dequeue(t *ticket) {
	t.queue.Remove(t.element)
	t.queue = nil
	b.waiting.Add(-1)
}

// leave gives a ticket back. What it has brought meanwhile goes to the next.
func (b *balance) leave(t *ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if t.queue != nil {
		b.dequeue(t)
		return
	}
	r := <-t.turn
	if r != nil {
		r.place.promised--
		b.offer(r, &b.calls)
	}
}

// started notes that a caller who had waited has sent his call.
func (b *balance) started(r *remote) {
	b.mu.Lock()
	defer b.mu.Unlock()

	r.place.promised--
	b.offer(r, &b.calls)
}

// pick returns a server that is ready, or nil. The caller holds the lock.
func (b *balance) pick() *remote {
	if b.options != nil && b.options.Choose != nil {
		return b.pickChosen()
	}

	for len(b.ready) > 0 {
		r, other := b.ready[rand.N(len(b.ready))], b.ready[rand.N(len(b.ready))]
		if other.outstanding.Load() < r.outstanding.Load() {
			r = other
		}

		if b.hasRoom(r) {
			return r
		}
		b.unready(r)
	}
	return nil
}

// pickLively returns a server that is ready and has answered others recently,
// or nil. The caller holds the lock.
func (b *balance) pickLively(open []*attempt) *remote {
	if len(b.ready) == 0 {
		return nil
	}

	first := rand.N(len(b.ready))
	for i := range b.ready {
		r := b.ready[(first+i)%len(b.ready)]
		if r.isLively() && b.hasRoom(r) && !worksOn(r, open) {
			return r
		}
	}
	return nil
}

// worksOn reports whether one of the attempts is at that server.
func worksOn(r *remote, open []*attempt) bool {
	return slices.ContainsFunc(open, func(a *attempt) bool { return a.remote == r })
}

// hasRoom reports whether a server may be given one call more. The caller holds
// the lock.
func (b *balance) hasRoom(r *remote) bool {
	return !r.place.gone && r.claim() && r.outstanding.Load()+int32(r.place.promised) < r.place.width()
}

// unready takes a server out of ready, unless it has just got room. The caller
// holds the lock.
func (b *balance) unready(r *remote) {
	// From now on whoever makes room for a call tells us so. Who did it before
	// has not, so we must look once more.
	r.place.isReady.Store(false)
	if b.hasRoom(r) {
		r.place.isReady.Store(true)
		return
	}

	last := len(b.ready) - 1
	b.ready[r.place.ready] = b.ready[last]
	b.ready[r.place.ready].place.ready = r.place.ready
	b.ready[last] = nil
	b.ready = b.ready[:last]
}

// changed is called when a server may be a better or a worse choice than
// before.
func (b *balance) changed(r *remote) {
	if b.knows(r) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()

	b.offer(r, &b.calls)
}

// answered is changed for a server that has just answered: then it is good for
// hedges, too.
func (b *balance) answered(r *remote) {
	if b.knows(r) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()

	b.answers++
	if b.answers%hedgeShare == 0 {
		b.offer(r, &b.hedges, &b.calls)
	} else {
		b.offer(r, &b.calls, &b.hedges)
	}
}

// knows reports, without a lock, whether there is nothing to be done about a
// server that has changed, as is mostly so: nobody waits for one that is ready,
// and pick finds out about one that is ready no more.
func (b *balance) knows(r *remote) bool {
	return b.waiting.Load() == 0 && r.place.isReady.Load() && r.aside.Load() == 0
}

// offer puts a server where it belongs: those who wait in these queues are
// given it, as far as it has room, and then it is ready, or aside, or neither.
// The caller holds the lock.
func (b *balance) offer(r *remote, queues ...*list.List) {
	if r.place.gone {
		return
	}
	b.setAside(r)

	for b.hasRoom(r) {
		t := next(r, queues)
		if t == nil {
			break
		}
		b.dequeue(t)
		r.place.promised++
		t.turn <- r
	}

	if b.hasRoom(r) && !r.place.isReady.Load() {
		r.place.ready = len(b.ready)
		b.ready = append(b.ready, r)
		r.place.isReady.Store(true)
	}
}

// next returns the ticket of who is to be given that server next, or nil.
func next(r *remote, queues []*list.List) *ticket {
	for _, queue := range queues {
		for e := queue.Front(); e != nil; e = e.Next() {
			t := e.Value.(*ticket)
			if !worksOn(r, t.open) {
				return t
			}
		}
	}
	return nil
}

// update takes the complete new set: survivors stay, with their connections;
// newcomers connect when first called; the others finish what they have.
func (b *balance) update(s Snapshot) {
	for _, r := range b.replace(s.Servers) {
		r.retire()
	}
}

// replace puts another set in the place of the old one, and returns who is
// gone.
func (b *balance) replace(servers []string) (gone []*remote) {
	b.mu.Lock()
	defer b.mu.Unlock()

	old := b.remotes
	b.remotes, b.list = make(map[string]*remote, len(servers)), nil
	for _, addr := range servers {
		if b.remotes[addr] != nil {
			continue // listed twice
		}

		r := old[addr]
		if r == nil {
			r = &remote{addr: addr, options: b.options}
			r.place.balance = b
		}
		delete(old, addr)
		b.remotes[addr] = r
		b.list = append(b.list, r)
	}

	for _, r := range old {
		b.remove(r)
		gone = append(gone, r)
	}
	for _, r := range b.list {
		b.offer(r, &b.calls)
	}
	if len(b.list) == 0 { // they would wait in vain
		b.sendAway(&b.calls)
		b.sendAway(&b.hedges)
	}

	close(b.updated)
	b.updated = make(chan struct{})
	return gone
}

// remove takes a server that is no longer listed out. The caller holds the
// lock.
func (b *balance) remove(r *remote) {
	r.place.gone = true
	b.setAside(r)
	if r.place.isReady.Load() {
		b.unready(r)
	}
}

// sendAway has everyone look again who waits. The caller holds the lock.
func (b *balance) sendAway(queue *list.List) {
	for e := queue.Front(); e != nil; e = queue.Front() {
		t := e.Value.(*ticket)
		b.dequeue(t)
		t.turn <- nil
	}
}

// waitFor blocks until it is known which servers there are and there are at
// least so many.
func (b *balance) waitFor(ctx context.Context, servers int) error {
	for {
		b.mu.Lock()
		updated, closed := b.updated, b.closed
		enough := b.remotes != nil && len(b.list) >= servers
		b.mu.Unlock()

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
