// Windows: how many calls a server is given at once. That follows from how fast
// it answers, as TCP's window does from acknowledgements: one more for a quick
// answer when it was full, half as many after a slow one.

package rpc

import (
	"sync/atomic"
	"time"
)

const (
	// firstWindow is how many calls may be outstanding at a server of which
	// nothing is known yet. One that has failed begins anew with one.
	firstWindow = 8
	// slowAnswer is what a server takes for an answer when it has more to do
	// than it should have.
	slowAnswer = int64(time.Second)
)

// A place is one server's in the balance.
type place struct {
	balance *balance     // nil: there is none
	window  atomic.Int32 // how many calls it may be given at once; 0: firstWindow
	isReady atomic.Bool  // it is in ready

	// What follows is guarded by the balance's lock.
	promised int  // calls that will be sent, by callers who waited
	gone     bool // it is no longer listed

	// Where it is.
	ready      int   // its index there
	aside      int   // its index there
	isAside    bool  // it is there
	due        int64 // when it is to be tried again, by clock
	knownAside int64 // remote.aside when due was set from it
	probing    bool  // a ping is under way
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
