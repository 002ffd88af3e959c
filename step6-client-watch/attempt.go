// One call at one server, and what becomes of it.

package main

// An attempt is one call at one server. A call that moves makes several.
type attempt struct {
	remote   *remote
	pipe     *pipe          // nil: its server is no longer listed
	outcomes chan<- outcome // has room for all that can come

	// What follows is guarded by the pipe's lock.
	frame    []byte      // its caller's; nil once it is on its way
	frameEnd uint64      // where in the stream of all that we send
	caller   callerState // what its caller does
	warned   bool        // that the server is silent
}

// A callerState says what the caller of an attempt does.
type callerState int

const (
	callerWaits  callerState = iota // it waits for the final outcome
	callerServed                    // it has that
	callerLeft                      // it doesn't want that any more
)

// An outcome is what became of an attempt. Each attempt has one final outcome,
// or none if its caller has left. At most one warning comes before that.
type outcome struct {
	attempt *attempt
	reply   Reply
	err     error
	written bool // the server may have got the request
	warning bool // not final: the server is silent; another outcome comes if it speaks again
}

// drop notes that the caller has left. A connection to a server that is silent,
// or no longer listed, is reset when nobody waits for it any more: then the
// server forgets what it owes.
func (a *attempt) drop() {
	if a.pipe == nil {
		return
	}

	isAbandoned := a.pipe.leave(a)
	if isAbandoned {
		a.pipe.breakOff(errAbandoned)
	}
}

// end gives the attempt's caller, who must be waiting, the final outcome. The
// caller of end must hold the pipe's mu, if there is a pipe.
func (a *attempt) end(o outcome) {
	a.caller = callerServed
	o.attempt = a
	a.outcomes <- o
}

// warn tells the attempt's caller, once, that the server is silent. The caller
// of warn must hold the pipe's mu.
func (a *attempt) warn() {
	if a.warned || a.caller == callerLeft {
		return
	}
	a.warned = true
	a.outcomes <- outcome{attempt: a, written: true, warning: true}
}
