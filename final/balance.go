// Balance: which of the listed servers a call goes to. Load shows in what is
// outstanding: of two random servers, the one that owes us fewer replies is the
// better choice. When several calls come at the same moment, a few of them go
// to one server, if that is quick, because they share a write then. Callers for
// whom no server has room wait here, where they can leave without having cost a
// server anything. window.go says how much room a server has, and aside.go
// which servers get no calls at all.

package rpc

import (
	"container/list"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// hedgeShare says how often hedges come before calls. Of so many answers, one
// offers its server to hedges first, and the others offer theirs to calls. If
// hedges came first more often, they would double the work of servers that have
// too much of it.
const hedgeShare = 4

// A call follows the one before it, to the same server, if it comes soon enough
// to share its write. At the server the two share a read, and their replies
// share a write.
const (
	maxTogether = 8                     // calls that go to one server in a row
	maxGap      = 20 * time.Microsecond // between one and the next of them
	quickAnswer = 5 * time.Millisecond  // a server that takes longer gets its calls one by one
)

// A balance is the servers of one client. It is safe for concurrent use.
//
// Lock order: remote.mu, pipe.mu, balance.mu. So nothing here may start a call,
// or end one, while it holds b.mu.
//
// A listed server is in one of the states below. Whoever changes something
// about a server calls changed or answered, and these call offer, which moves
// the server to where it belongs. pick takes servers out of ready, too.
//
//   - ready, in b.ready: it has room for a call, or had it when we last looked.
//     It may be full or silent meanwhile: pick looks again;
//   - aside, in b.aside: remote.avoidUntil isn't 0, because it failed;
//   - neither: it is silent, or full. It is full when the calls that it owes us
//     and those that are promised are as many as its window is wide.
//
// While anybody waits in b.calls, b.ready is empty. A call is promised from
// when a waiting caller's ticket brings the server until that caller has sent
// it.
type balance struct {
	underWay atomic.Int32 // calls that haven't returned
	waiting  atomic.Int32 // callers in calls and hedges; written with mu held, read without it

	options *ClientOptions // of connections, and of the choice; nil: the defaults

	mu      sync.Mutex
	remotes map[string]*remote // by address; nil: not known yet
	list    []*remote          // the same servers
	updated chan struct{}      // closed, and replaced, when the list has been updated
	closed  bool

	// The servers, by what they are good for.
	ready []*remote
	aside asideHeap // the next to be tried first

	// The server that pick chose last.
	last     *remote // nil: none yet
	lastTime int64   // when pick was last asked, by clock
	together int     // how many calls in a row have gone to last

	// Those who wait, as *ticket.
	calls   list.List // for any server
	hedges  list.List // for a server that answers, besides those that they have
	answers int       // answers that answered has offered to them: see hedgeShare

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

// take returns a server for a call; if none has room, it returns a ticket with
// which to wait for one. If other servers work on the call already, in the
// attempts that are open, it is a hedge: it goes to a server that answers, or
// to none. The error is ErrClosed or ErrNoServer.
//
// A server that take returns isn't promised: the call counts only when it is
// sent, so that a window is exceeded now and then.
func (b *balance) take(open []*attempt) (*remote, *ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	err := b.refusal()
	if err != nil {
		return nil, nil, err
	}
	b.probeNext() // each call that comes has a server pinged that may be back

	isHedge := len(open) > 0
	var r *remote
	if isHedge {
		r = b.pickLively(open)
	} else {
		r = b.pick()
	}
	switch {
	case r != nil:
		return r, nil, nil
	case isHedge:
		return nil, b.enqueue(&b.hedges, open), nil
	}
	return nil, b.enqueue(&b.calls, nil), nil
}

// refusal returns why no server can be had, if that is so. The caller must hold
// b.mu.
func (b *balance) refusal() error {
	switch {
	case b.closed:
		return ErrClosed
	case b.remotes != nil && len(b.list) == 0:
		return ErrNoServer
	}
	return nil
}

// enqueue puts a caller into a queue. The caller must hold b.mu.
func (b *balance) enqueue(queue *list.List, open []*attempt) *ticket {
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

// dequeue takes a ticket out of its queue. The caller must hold b.mu.
func (b *balance) dequeue(t *ticket) {
	t.queue.Remove(t.element)
	t.queue = nil
	b.waiting.Add(-1)
}

// leave gives a ticket back. A server that it has brought meanwhile goes to the
// next who waits.
func (b *balance) leave(t *ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if t.queue != nil {
		b.dequeue(t)
		return
	}

	// It was delivered, with b.mu held, when the ticket left its queue. So this
	// doesn't block.
	r := <-t.turn
	if r != nil {
		b.redeem(r)
	}
}

// started notes that a caller who had waited has sent the call.
func (b *balance) started(r *remote) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.redeem(r)
}

// redeem takes back a promise that was kept, or isn't needed any more. The
// caller must hold b.mu.
func (b *balance) redeem(r *remote) {
	r.standing.promised--
	b.offer(r, &b.calls)
}

// pick returns a server that is ready, or nil. The caller must hold b.mu.
func (b *balance) pick() *remote {
	if b.options != nil && b.options.Choose != nil {
		return b.pickChosen()
	}

	r := b.follow()
	if r != nil {
		return r
	}

	for len(b.ready) > 0 {
		r, other := b.ready[rand.N(len(b.ready))], b.ready[rand.N(len(b.ready))]
		if other.outstanding.Load() < r.outstanding.Load() {
			r = other
		}

		if b.hasRoom(r) {
			b.last, b.together = r, 1
			return r
		}
		b.dropUnlessRoom(r) // then one less is ready, or it has just got room: try again
	}
	return nil
}

// follow returns the server that pick has just returned for another call, if
// this one may follow it, or nil. The caller must hold b.mu.
func (b *balance) follow() *remote {
	now := clock()
	isSoon := now-b.lastTime < int64(maxGap)
	b.lastTime = now

	r := b.last
	if r == nil || !isSoon || b.together == maxTogether || !r.standing.isQuick.Load() {
		return nil
	}
	if !r.standing.isReady.Load() || !b.hasRoom(r) {
		return nil
	}
	b.together++
	return r
}

// pickLively returns a server that is ready and has answered others recently,
// or nil. The caller must hold b.mu.
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

// hasRoom reports whether a server may be given one call more. The caller must
// hold b.mu.
func (b *balance) hasRoom(r *remote) bool {
	owed := r.outstanding.Load() + int32(r.standing.promised)
	return !r.standing.gone && r.isAvailable() && owed < r.standing.width()
}

// dropUnlessRoom takes a server that is ready out of b.ready, unless it has
// room. The caller must hold b.mu.
func (b *balance) dropUnlessRoom(r *remote) {
	// changed and answered pass over a server that isReady. So clear isReady
	// first, and then look: we see room that was made before the clearing, and
	// are told of room that is made after it.
	r.standing.isReady.Store(false)
	if b.hasRoom(r) {
		r.standing.isReady.Store(true)
		return
	}

	end := len(b.ready) - 1
	last := b.ready[end]
	b.ready[r.standing.readyIndex] = last
	last.standing.readyIndex = r.standing.readyIndex
	b.ready[end] = nil
	b.ready = b.ready[:end]
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
// server that has changed. Mostly that is so: the server is ready and nobody
// waits. If it has become full or silent, pick finds out.
func (b *balance) knows(r *remote) bool {
	return b.waiting.Load() == 0 && r.standing.isReady.Load() && r.avoidUntil.Load() == 0
}

// offer moves a server to where it belongs. First it is given to those who wait
// in these queues, as far as it has room. Then it is ready, or aside, or
// neither. The caller must hold b.mu.
func (b *balance) offer(r *remote, queues ...*list.List) {
	if r.standing.gone {
		return
	}
	if r.standing.isReady.Load() {
		b.dropUnlessRoom(r)
	}
	b.setAside(r)

	for b.hasRoom(r) {
		t := next(r, queues)
		if t == nil {
			break
		}
		b.dequeue(t)
		r.standing.promised++
		t.turn <- r
	}

	if b.hasRoom(r) && !r.standing.isReady.Load() {
		r.standing.readyIndex = len(b.ready)
		b.ready = append(b.ready, r)
		r.standing.isReady.Store(true)
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
			r.standing.balance = b
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
	if len(b.list) == 0 { // callers would wait in vain
		b.sendAway(&b.calls)
		b.sendAway(&b.hedges)
	}

	close(b.updated)
	b.updated = make(chan struct{})
	return gone
}

// remove takes a server that is no longer listed out. The caller must hold
// b.mu.
func (b *balance) remove(r *remote) {
	r.standing.gone = true
	b.setAside(r)
	if r.standing.isReady.Load() {
		b.dropUnlessRoom(r)
	}
}

// sendAway has everyone who waits look again. The caller must hold b.mu.
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
