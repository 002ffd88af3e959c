// Servers that are set aside: those that failed, or were silent until nobody
// waited for them any more. A ping finds out whether one is back, not
// somebody's call. Two things lead to pings:
//
//   - A call comes. Then probeNext pings the server whose time aside is over,
//     if there is one.
//   - Callers wait, because no server has room. As long as they do, search
//     pings servers every searchPeriod, whether their time aside is over or
//     not.
//
// The connection of the ping praises or blames the server, as it does with any
// call; and that tells the balance.

package rpc

import (
	"container/heap"
	"time"
)

const (
	maxProbes   = 8   // a call adds a ping only while fewer are under way
	maxSuspects = 256 // search adds pings only while fewer are under way

	searchPeriod  = firstAside
	minProbePause = searchPeriod / 2 // between a server's failure and its next ping by search
)

var pingFrame = AppendFrame(nil, Request{Method: "ping", Params: []byte("null")}.Append(nil))

// An asideHeap is a heap.Interface of servers, by when they are to be tried
// again. Each knows its index.
type asideHeap []*remote

func (h asideHeap) Len() int           { return len(h) }
func (h asideHeap) Less(i, j int) bool { return h[i].standing.due < h[j].standing.due }
func (h asideHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].standing.asideIndex, h[j].standing.asideIndex = i, j
}

func (h *asideHeap) Push(r any) {
	r.(*remote).standing.asideIndex = len(*h)
	*h = append(*h, r.(*remote))
}

func (h *asideHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}

// setAside puts a server into b.aside or takes it out, as it has failed or not.
// The caller must hold b.mu.
func (b *balance) setAside(r *remote) {
	until := r.avoidUntil.Load()
	isAside := until != 0 && !r.standing.gone
	if until != r.standing.dueFrom { // otherwise due stays, as probe may have put it off
		r.standing.dueFrom = until
		r.standing.due = until
	}

	switch {
	case isAside && r.standing.isAside:
		heap.Fix(&b.aside, r.standing.asideIndex)
	case isAside:
		heap.Push(&b.aside, r)
	case r.standing.isAside:
		heap.Remove(&b.aside, r.standing.asideIndex)
	}
	r.standing.isAside = isAside
}

// probeNext begins to find out about the next server that is aside, if its time
// is over and not too many pings are under way. The caller must hold b.mu.
func (b *balance) probeNext() {
	if len(b.aside) > 0 && b.probes < maxProbes && b.aside[0].standing.due <= clock() {
		b.probe(b.aside[0])
	}
}

// probe pings a server, unless a ping is under way. Its answer makes it ready
// again, and silence or a failure sets it aside for longer. The caller must
// hold b.mu.
func (b *balance) probe(r *remote) {
	if r.standing.probing {
		return
	}
	r.standing.probing = true
	b.probes++

	if r.standing.isAside { // while this ping is under way, probeNext takes the others
		r.standing.due = clock() + int64(maxAside)
		heap.Fix(&b.aside, r.standing.asideIndex)
	}
	go b.ping(r)
}

// ping sends a server a ping, and blocks until there is an outcome, or a
// warning.
func (b *balance) ping(r *remote) {
	outcomes := make(chan outcome, 2)
	a := r.start(pingFrame, outcomes)
	o := <-outcomes
	if o.warning {
		a.drop()
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	r.standing.probing = false
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
// aside, whether their time is over or not; and, if hedges wait, those that
// have made no progress recently. The caller must hold b.mu.
func (b *balance) suspects() (suspects []*remote) {
	now := clock()
	for _, r := range b.list {
		if b.probes+len(suspects) >= maxSuspects {
			return suspects
		}
		if r.standing.probing || r.silent.Load() {
			continue
		}

		isSuspect := !r.isLively() && b.hedges.Len() > 0
		if r.standing.isAside {
			isSuspect = now-r.lastFailure.Load() > int64(minProbePause)
		}
		if isSuspect {
			suspects = append(suspects, r)
		}
	}
	return suspects
}
