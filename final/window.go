// Windows: how many calls a server is given at once. That follows from how fast
// it answers, as TCP's window does from acknowledgements: one more for a quick
// answer when it was full, half as many after a slow one. TCP halves once per
// round trip, and we for each slow answer: a server that has too much to do is
// soon down to one, which costs it nothing, because a server works on one call
// of a connection at a time.

package rpc

import (
	"sync/atomic"
	"time"
)

const (
	// firstWindow is how many calls may be outstanding at a server of which
	// nothing is known yet. One that has failed begins anew with one.
	firstWindow = 8
	// slowAnswer is the time that an answer should take at most. One that takes
	// longer shows that the server has too much to do.
	slowAnswer = time.Second
)

// A standing is what the balance knows of one server: how many calls it may
// have, and where the balance keeps it.
type standing struct {
	balance *balance     // nil: there is none
	window  atomic.Int32 // how many calls it may be given at once; 0: firstWindow
	isQuick atomic.Bool  // its last answer took less than quickAnswer

	// What follows changes with balance.mu held only.
	isReady    atomic.Bool // it is in balance.ready, at readyIndex
	readyIndex int
	isAside    bool // it is in balance.aside, at asideIndex
	asideIndex int

	promised int   // calls that callers who waited for the server will send it
	gone     bool  // it is no longer listed
	probing  bool  // a ping is under way
	due      int64 // when it is to be pinged, by clock
	dueFrom  int64 // the remote.avoidUntil from which due was set: when that changes, due is set anew
}

// width returns how many calls the server may be given at once.
func (s *standing) width() int32 {
	w := s.window.Load()
	if w == 0 {
		return firstWindow
	}
	return w
}

// adapt makes the window and isQuick fit, after an answer: how many calls were
// outstanding then, that one included, and how long it took. One goroutine at a
// time may call it.
func (s *standing) adapt(outstanding int32, took time.Duration) {
	s.isQuick.Store(took < quickAnswer)

	w := s.width()
	switch {
	case took > slowAnswer:
		s.window.Store(max(1, w/2))
	case outstanding >= w && w < maxOutstanding:
		s.window.Store(w + 1)
	}
}
