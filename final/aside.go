// Servers that are set aside: those that failed, or were silent until nobody
// waited for them any more. A ping finds out whether one is back, not
// somebody's call: when its time aside is over, or sooner if callers wait for a
// server.

package rpc

import (
	"container/heap"
	"time"
)

const (
	maxProbes     = 8   // pings under way, of servers whose time aside is over
	maxSuspects   = 256 // the same, while callers wait
	searchPeriod  = firstAside
	minProbePause = searchPeriod / 2 // between a failure and the next ping of a search
)

var pingFrame = AppendFrame(nil, Request{Method: "ping", Params: []byte("null")}.Append(nil))

// An asideHeap is a heap.Interface of servers, by when they are to be tried
// again. Each knows its index.
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

// setAside puts a server into aside or takes it out, as it has failed or not.
// The caller holds the lock.
func (b *balance) setAside(r *remote) {
	aside := r.aside.Load()
	isAside := aside != 0 && !r.place.gone
	if aside != r.place.knownAside { // else due may be later by now, because it is being pinged
		r.place.knownAside = aside
		r.place.due = aside
	}

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
// is over and not too many pings are under way. The caller holds the lock.
func (b *balance) probeNext() {
	if len(b.aside) > 0 && b.probes < maxProbes && b.aside[0].place.due <= clock() {
		b.probe(b.aside[0])
	}
}

// probe pings a server. Its answer makes it ready again, and silence or a
// failure sets it aside for longer. The caller holds the lock.
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
	go b.ping(r)
}

// ping waits for the outcome of one, whose consequences the connection draws.
func (b *balance) ping(r *remote) {
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
}

// search looks for servers that answer, as long as callers wait. It runs in a
// goroutine.
func (b *balance) search() {
	for b.probeSuspects() {
		time.Sleep(searchPeriod)
	}
}

// probeSuspects pings servers for those who wait, and reports whether somebody
// does.
func (b *balance) probeSuspects() bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.waiting.Load() == 0 {
		b.searching = false
		return false
	}
	for _, r := range b.suspects() {
		b.probe(r)
	}
	return true
}

// suspects returns the servers to ping for those who wait: those that are
// aside, whether their time is over or not, and for hedges those of which
// nothing is known. The caller holds the lock.
func (b *balance) suspects() (suspects []*remote) {
	now := clock()
	for _, r := range b.list {
		switch {
		case b.probes+len(suspects) >= maxSuspects:
			return suspects
		case r.place.probing, r.silent.Load():
		case r.place.isAside && now-r.failed.Load() > int64(minProbePause):
			suspects = append(suspects, r)
		case !r.place.isAside && b.hedges.Len() > 0 && !r.isLively():
			suspects = append(suspects, r)
		}
	}
	return suspects
}
