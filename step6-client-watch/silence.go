// Silence: a machine that hangs neither refuses nor resets. All that shows is
// that it owes replies and nothing moves. So while replies are owed the read
// deadline is set, and each time when it is over the reader looks.

package main

import (
	"errors"
	"time"
)

const (
	// silence is about how long a server may owe replies without any progress.
	silence = 2 * time.Second
	// maxQuiet is how many looks in a row may find no progress: with one more
	// the server counts as silent. We count looks and not time, because a
	// client that was itself stopped for a while has not looked, and blames
	// nobody.
	maxQuiet     = 8
	lookInterval = silence / maxQuiet
	// minProgress is how much of a long message is progress, in bytes.
	minProgress = 4 << 10
)

var errSilent = errors.New("the server is silent")

// scheduleLook sets the read deadline, at which the reader wakes up. The caller
// must hold p.mu, and p.conn must be there.
func (p *pipe) scheduleLook() {
	p.deadlineSet = true
	_ = p.conn.SetReadDeadline(time.Now().Add(lookInterval))
}

// look finds out whether the server is silent: it owes replies, and for a
// number of looks there was no progress. It stays silent at the looks after
// that, until there is progress. An error says that the pipe is to break.
func (p *pipe) look() error {
	p.mu.Lock()
	defer p.mu.Unlock()

	if len(p.sent)+len(p.queue) == 0 { // nobody calls: the next call sets the deadline again
		p.deadlineSet = false
		p.moved = false
		p.quiet = 0
		return p.conn.SetReadDeadline(time.Time{})
	}
	p.scheduleLook()

	moved := p.takeStock()
	if moved {
		p.quiet = 0
		p.remote.lively.Store(clock())
		return nil
	}
	p.quiet++
	if p.quiet <= maxQuiet {
		return nil
	}

	p.suspect()
	if p.isAbandoned() {
		return errAbandoned
	}
	return nil
}

// takeStock reports whether there was progress since the last look, and begins
// to count anew. Progress is one of these:
//
//   - a whole reply has come in;
//   - minProgress bytes of a reply have come in;
//   - minProgress bytes of the request that is to be answered next have arrived
//     at the server.
//
// The caller must hold p.mu.
func (p *pipe) takeStock() (moved bool) {
	acked := acknowledged(p.conn)
	isUnderWay := len(p.sent) > 0 && p.sent[0].frameEnd > p.acked
	if p.received >= minProgress || (isUnderWay && acked >= p.acked+minProgress) {
		p.progress()
	}

	if !p.moved {
		return false
	}
	p.moved = false
	p.acked = acked
	return true
}

// progress notes that the server is not silent. The caller must hold p.mu.
func (p *pipe) progress() {
	p.moved, p.received = true, 0
	if p.silent {
		p.silent = false
		p.remote.silent.Store(false)
	}
}

// suspect makes the pipe a silent one, which gets no new calls. A call that was
// not written moves to another server. One that was written stays, because it
// could still be answered, and its caller is warned: it may ask another server,
// too. The caller must hold p.mu.
func (p *pipe) suspect() {
	p.silent = true
	p.remote.silent.Store(true)

	for _, a := range p.queue {
		p.remote.outstanding.Add(-1)
		p.settle(a, outcome{err: errSilent})
	}
	p.queue = nil
	for _, a := range p.sent {
		a.warn()
	}
}
