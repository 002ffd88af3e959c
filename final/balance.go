// Balance: which of the listed servers a call goes to. Load shows in what is
// outstanding: of two random servers, the one that owes us fewer replies is the
// better choice. How many calls a server is given at once follows from how fast
// it answers; callers for whom no server has room wait here, where they can
// leave without having cost a server anything.
//
// A server that failed, or was silent until nobody waited for it any more, is
// set aside. A ping finds out whether it is back, not somebody's call.

package rpc

import (
	"container/heap"
	"container/list"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstWindow is how many calls may be outstanding at a server of which
	// nothing is known yet. One that has failed begins anew with one.
	firstWindow = 8
	// slowAnswer is what a server takes for an answer when it has more to do than
	// it should have: then its window is halved.
	slowAnswer = int64(time.Second)
	// recently is how long after it made progress we trust that a server is
	// there.
	recently = int64(time.Second)
	// hedgeShare is how often hedges come before calls: at every so manyth answer.
	// More often, they would double the work of servers that have too much of it.
	hedgeShare = 4

	maxProbes    = 8   // under way, of servers whose time aside is over
	maxSearch    = 256 // the same, while callers wait
	searchPeriod = firstAside
)

// A place is one server's in the balance.
type place struct {
	balance *balance     // nil: there is none
	window  atomic.Int32 // how many calls it may be given at once; 0: firstWindow
	isReady atomic.Bool  // it is in ready

	// What follows is guarded by the balance's lock.
	ready    int   // index there
	aside    int   // index in aside
	due      int64 // when it is to be tried again, by clock
	isAside  bool  // it is in aside
	promised int   // calls that will be sent, by callers who waited
	probing  bool  // a ping is under way
	gone     bool  // it is no longer listed
}

// width returns how many calls the server may be given at once.
func (p *place) width() int32 {
	w := p.window.Load()
	if w == 0 {
		return firstWindow
	}
	return w
}

// adapt makes the window fit, after an answer that took so long when so many
// calls were outstanding. One goroutine at a time may call it.
func (p *place) adapt(outstanding int32, took int64) {
	w := p.width()
	switch {
	case took > slowAnswer:
		p.window.Store(max(1, w/2))
	case outstanding >= w && w < maxOutstanding:
		p.window.Store(w + 1)
	}
}

// A balance is the servers of one client. It is safe for concurrent use. The
// lock of a connection may be held when it is called, so it calls none itself
// while it holds its own.
type balance struct {
	waiting atomic.Int32 // callers in calls and hedges

	mu      sync.Mutex
	remotes map[string]*remote // by address; nil: not known yet
	list    []*remote          // the same
	updated chan struct{}      // closed, and replaced, when the list has been updated
	closed  bool

	ready  []*remote // those that had room for a call when we last looked
	aside  asideHeap // those that failed, the next to be tried first
	calls  list.List // *ticket of those who wait for any server
	hedges list.List // *ticket of those who wait for a server that answers, besides the one they have

	answers   int  // while callers waited
	probes    int  // pings under way
	searching bool // search is running
}

// A ticket is the place of a caller who waits for a server.
type ticket struct {
	turn    chan *remote // delivers one; nil: look again
	open    []*attempt   // not at one of these
	element *list.Element
	from    *list.List // nil: it has had its turn
}

// take returns a server for a call that is under way at those in open already,
// or else a ticket with which to wait for one. A hedge is a call that has waited
// long for the others: it goes to a server that answers, or to none.
func (b *balance) take(open []*attempt, hedge bool) (*remote, *ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, nil, ErrClosed
	case b.remotes != nil && len(b.list) == 0:
		return nil, nil, ErrNoServer
	}

	b.probeNext(maxProbes)
	r := b.pick(open, hedge)
	if r != nil {
		return r, nil, nil
	}
	// The caller's own list changes while others look at the ticket.
	t := &ticket{turn: make(chan *remote, 1), open: slices.Clone(open), from: &b.calls}
	if hedge {
		t.from = &b.hedges
	}
	t.element = t.from.PushBack(t)
	b.waiting.Add(1)
	if !b.searching {
		b.searching = true
		go b.search()
	}
	return nil, t, nil
}

// leave gives a ticket back. What it has brought meanwhile goes to the next.
func (b *balance) leave(t *ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.from != nil {
		b.remove(t)
		return
	}
	r := <-t.turn
	if r != nil {
		r.place.promised--
		b.offer(r, false)
	}
}

// started notes that a caller who had waited has sent his call.
func (b *balance) started(r *remote) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.place.promised--
	b.offer(r, false)
}

func (b *balance) remove(t *ticket) {
	t.from.Remove(t.element)
	t.from = nil
	b.waiting.Add(-1)
}

// pick returns a server that is ready, or nil.
func (b *balance) pick(open []*attempt, hedge bool) *remote {
	if hedge {
		return b.pickLively(open)
	}
	for len(b.ready) > 0 {
		r, other := b.ready[rand.N(len(b.ready))], b.ready[rand.N(len(b.ready))]
		if worksOn(r, open) || other.outstanding.Load() < r.outstanding.Load() && !worksOn(other, open) {
			r = other
		}
		switch {
		case !b.hasRoom(r):
			b.unready(r)
		case !worksOn(r, open):
			return r
		case len(b.ready) <= 2*len(open): // chance may not find another
			return b.pickAnother(open)
		}
	}
	return nil
}

// pickAnother is pick without chance.
func (b *balance) pickAnother(open []*attempt) *remote {
	for _, r := range b.ready {
		if b.hasRoom(r) && !worksOn(r, open) {
			return r
		}
	}
	return nil
}

// pickLively returns a server that is ready and has answered others recently.
func (b *balance) pickLively(open []*attempt) *remote {
	if len(b.ready) == 0 {
		return nil
	}
	now, first := clock(), rand.N(len(b.ready))
	for i := range b.ready {
		r := b.ready[(first+i)%len(b.ready)]
		if now-r.lively.Load() < recently && b.hasRoom(r) && !worksOn(r, open) {
			return r
		}
	}
	return nil
}

func (b *balance) hasRoom(r *remote) bool {
	return !r.place.gone && r.claim() && r.outstanding.Load()+int32(r.place.promised) < r.place.width()
}

// unready takes a server out of ready, unless it has just got room.
func (b *balance) unready(r *remote) {
	// From now on whoever makes room for a call tells us so. Who did it before has
	// not, so we must look once more.
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

// changed is called when a server may be a better or a worse choice than before,
// having answered perhaps. It mostly needs no lock: nobody waits for one that is
// ready, and pick finds out about one that is ready no more.
func (b *balance) changed(r *remote, answered bool) {
	if b.waiting.Load() == 0 && r.place.isReady.Load() && r.aside.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offer(r, answered)
}

// offer puts a server where it belongs: those who wait are given it, as far as
// it has room, and then it is ready, or aside, or neither.
func (b *balance) offer(r *remote, answered bool) {
	if r.place.gone {
		return
	}
	b.setAside(r)
	if answered {
		b.answers++
	}
	for t := b.next(r, answered); t != nil && b.hasRoom(r); t = b.next(r, answered) {
		b.remove(t)
		r.place.promised++
		t.turn <- r
	}
	if b.hasRoom(r) && !r.place.isReady.Load() {
		r.place.ready = len(b.ready)
		b.ready = append(b.ready, r)
		r.place.isReady.Store(true)
	}
}

// next returns the ticket of who is to be given that server next.
func (b *balance) next(r *remote, answered bool) *ticket {
	queues := []*list.List{&b.calls, &b.hedges}
	switch {
	case !answered:
		queues = queues[:1]
	case b.answers%hedgeShare == 0:
		slices.Reverse(queues)
	}
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

// replace puts another set in the place of the old one, and returns who is gone.
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
			r = &remote{addr: addr}
			r.place.balance = b
		}
		delete(old, addr)
		b.remotes[addr] = r
		b.list = append(b.list, r)
	}

	for _, r := range old {
		gone = append(gone, r)
		r.place.gone = true
		b.setAside(r)
		if r.place.isReady.Load() {
			b.unready(r)
		}
	}
	for _, r := range b.list {
		b.offer(r, false)
	}
	if len(b.list) == 0 { // they would wait in vain
		b.sendAway(&b.calls)
		b.sendAway(&b.hedges)
	}
	close(b.updated)
	b.updated = make(chan struct{})
	return gone
}

// sendAway has everyone look again who waits.
func (b *balance) sendAway(queue *list.List) {
	for e := queue.Front(); e != nil; e = queue.Front() {
		t := e.Value.(*ticket)
		b.remove(t)
		t.turn <- nil
	}
}

// setAside puts a server into aside or takes it out, as it has failed or not.
func (b *balance) setAside(r *remote) {
	aside := r.aside.Load()
	isAside := aside != 0 && !r.place.gone
	r.place.due = aside
	switch {
	case isAside && r.place.isAside:
		heap.Fix(&b.aside, r.place.aside)
	case isAside:
		heap.Push(&b.aside, r)
	case r.place.isAside:
		heap.Remove(&b.aside, r.place.aside)
	}
	r.place.isAside = isAside
}

// probeNext begins to find out about the next server that is aside, if its time
// is over and not too many pings are under way.
func (b *balance) probeNext(limit int) {
	if len(b.aside) > 0 && b.probes < limit && b.aside[0].place.due <= clock() {
		b.probe(b.aside[0])
	}
}

// probe pings a server. Its answer makes it ready again, and silence or a failure
// sets it aside for longer.
func (b *balance) probe(r *remote) {
	if r.place.probing {
		return
	}
	r.place.probing = true
	b.probes++
	if r.place.isAside { // others come first meanwhile
		r.place.due = clock() + int64(maxAside)
		heap.Fix(&b.aside, r.place.aside)
	}
	go func() {
		outcomes := make(chan outcome, 2)
		a := r.start(pingFrame, outcomes)
		o := <-outcomes
		if o.silent {
			a.drop()
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		r.place.probing = false
		b.probes--
	}()
}

var pingFrame = AppendFrame(nil, Request{Method: "ping", Params: []byte("null")}.Append(nil))

// search looks for servers that answer, as long as callers wait: among those that
// are aside, whether their time is over or not, and for hedges among those of
// which nothing is known.
func (b *balance) search() {
	for {
		b.mu.Lock()
		if b.waiting.Load() == 0 {
			b.searching = false
			b.mu.Unlock()
			return
		}
		for _, r := range b.suspects() {
			b.probe(r)
		}
		b.mu.Unlock()
		time.Sleep(searchPeriod)
	}
}

// suspects returns the servers to ping for those who wait.
func (b *balance) suspects() (suspects []*remote) {
	now := clock()
	for _, r := range b.list {
		switch {
		case b.probes+len(suspects) >= maxSearch:
			return suspects
		case r.place.probing, r.silent.Load():
		case r.place.isAside && now-r.failed.Load() > int64(searchPeriod)/2:
			suspects = append(suspects, r)
		case !r.place.isAside && b.hedges.Len() > 0 && now-r.lively.Load() > recently:
			suspects = append(suspects, r)
		}
	}
	return suspects
}

// An asideHeap is a heap.Interface of servers, by when their time aside is over.
type asideHeap []*remote

func (h asideHeap) Len() int           { return len(h) }
func (h asideHeap) Less(i, j int) bool { return h[i].place.due < h[j].place.due }
func (h asideHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place.aside, h[j].place.aside = i, j
}

func (h *asideHeap) Push(r any) {
	r.(*remote).place.aside = len(*h)
	*h = append(*h, r.(*remote))
}

func (h *asideHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}

// wait blocks until it is known which servers there are and there are at least so
// many.
func (b *balance) wait(ctx context.Context, servers int) error {
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
