// Silence: a machine that hangs neither refuses nor resets. All that shows is
// that it owes replies and nothing moves. So the reader wakes up now and then
// while replies are owed, and looks.

package rpc

import (
	"errors"
	"time"
)

const (
	// silence is about how long a server may owe replies without any progress,
	// if its client has no other Silence.
	silence = 2 * time.Second
	// looks is in how many looks we count that. A client that was itself
	// stopped for a while has not looked, and blames nobody.
	looks = 8
	// minProgress is how much of a long message must arrive meanwhile, in
	// bytes.
	minProgress = 4 << 10
)

var errSilent = errors.New("the server is silent")

// lookLater has the reader wake up some time from now. The caller holds the
// lock.
func (p *pipe) lookLater() {
	p.looking = true
	_ = p.conn.SetReadDeadline(time.Now().Add(p.options.lookInterval()))
}

// look finds out whether the server is silent: it owes replies, and for a
// number of looks there was no progress. An error says that the pipe is to
// break.
func (p *pipe) look() error {
	p.mu.Lock()
	defer p.mu.Unlock()

	if len(p.sent)+len(p.queue) == 0 { // it owes nothing: the next call looks again
		p.looking, p.moved, p.quiet = false, false, 0
		return p.conn.SetReadDeadline(time.Time{})
	}
	p.lookLater()

	p.warnOverdue()
	if p.hasMoved() {
		p.quiet = 0
		p.remote.lively.Store(clock())
		return nil
	}
	p.quiet++
	if p.quiet <= looks {
		return nil
	}

	p.suspect()
	if p.isAbandoned() {
		return errAbandoned
	}
	return nil
}

// hasMoved reports whether there was progress since the last look: a whole
// reply came, or much of a long one, or much of the request that is to be
// answered next arrived there. The caller holds the lock.
func (p *pipe) hasMoved() bool {
	acked := acknowledged(p.conn)
	isLeaving := len(p.sent) > 0 && p.sent[0].frameEnd > p.acked
	if p.received >= minProgress || isLeaving && acked >= p.acked+minProgress {
		p.progress()
	}

	if !p.moved {
		return false
	}
	p.moved, p.acked = false, acked
	return true
}

// progress notes that the server is not silent. The caller holds the lock.
func (p *pipe) progress() {
	p.moved, p.received = true, 0
	if p.silent {
		p.silent = false
		p.remote.silent.Store(false)
		p.remote.changed()
	}
}

// warnOverdue warns callers who have waited for half of their time. Their
// server may not be silent, but it is too slow for them: another would still
// have the other half. The caller holds the lock.
func (p *pipe) warnOverdue() {
	now := clock()
	for _, a := range p.sent {
		if a.halfway != 0 && a.halfway < now {
			a.warn()
		}
	}
}

// suspect makes the pipe a silent one, which gets no new calls. Attempts that
// were not written move, and those that were may go elsewhere, too. But nothing
// is thrown away that could still be answered. The caller holds the lock.
func (p *pipe) suspect() {
	p.silent = true
	p.remote.silent.Store(true)

	for _, a := range p.queue {
		p.remote.outstanding.Add(-1)
		p.end(a, outcome{err: errSilent})
	}
	p.queue = nil
	for _, a := range p.sent {
		a.warn()
	}
}
