// Limits: what one worker grants to strangers. Clients that connect and say
// nothing, that begin a frame and never end it, or that are simply too many
// must not use up what the others need.

//go:build unix

package rpc

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// starvedPause is the time between two tries to accept without a free
	// descriptor, and starvedWarning that between two warnings about it.
	starvedPause   = 100 * time.Millisecond
	starvedWarning = 10 * time.Second

	// minTimeout is what a shorter timeout counts as: to look more often would
	// cost more than it saves.
	minTimeout = 100 * time.Millisecond

	// sweepsPerTimeout is how many sweeps there are in the shorter timeout.
	sweepsPerTimeout = 4

	// maxEnds is how many connections are ended in one turn: each costs some
	// system calls, and others wait.
	maxEnds = 64
)

var (
	errSlowRequest = errors.New("the request did not come in whole in time")
	errUnfinished  = errors.New("the server holds too much of requests that have not come in whole: " +
		"this one is among the longest and oldest")
)

// Limits bound what clients can use up in one worker. A zero field is no
// limit.
type Limits struct {
	// IdleTimeout is how long a connection may go without a whole request, and
	// without taking any of its replies. Less than 100 ms counts as 100 ms, and
	// the end may come later by half of the shorter timeout. Time in which the
	// worker itself stood still doesn't count.
	IdleTimeout time.Duration
	// FrameTimeout is how long a request may take to come in whole, measured as
	// IdleTimeout is. Time in which we don't read, because the client doesn't
	// take its replies, doesn't count either.
	FrameTimeout time.Duration
	// MaxConns is how many connections the worker holds at most. Further ones
	// wait to be accepted, by another worker perhaps. A worker that is told to
	// end takes even those, because there may be nobody else to answer them.
	MaxConns int
	// MaxFrame is the longest request body accepted, in bytes. It can only
	// lower the limit that every connection has: more than MaxRequest counts
	// as MaxRequest, because clients take no longer replies.
	MaxFrame int
	// MaxUnfinished is how many bytes the worker holds of requests that have
	// not come in whole, not counting the first 16 KiB of each connection. When
	// there are more, those connections whose bytes times seconds are most get
	// an error reply, and the end. It should be at least twice MaxFrame.
	MaxUnfinished int
}

// limiter is the Limits at work in one server. The zero limiter has none.
type limiter struct {
	Limits
	server *Server

	period     time.Duration // between two sweeps; 0: there are none
	unfinished int           // the sum of the connections' progress.held, in bytes
	lastWarned time.Time     // when we last said that we are out of descriptors
}

// progress is what the limits know of a connection.
type progress struct {
	idle    int // sweeps since it made a request, took some of a reply, or waited for us
	partial int // sweeps since the request began that has not come in whole; 0: none has

	unacked int // bytes of replies that the peer had yet to take at the last sweep, if some were unsent

	held  int       // bytes of that request that count for MaxUnfinished
	since time.Time // when held was last 0
}

// Apply puts the limits on a server. Call it once, before the loop runs.
func (l Limits) Apply(s *Server) {
	s.limits = limiter{Limits: l, server: s}
	s.Pause = s.limits.pause
	if l.MaxFrame > 0 {
		s.MaxFrame = min(l.MaxFrame, MaxRequest)
	}

	s.limits.setPeriod()
	if s.limits.period > 0 {
		s.limits.sweep()
	}
}

// setPeriod decides how often to sweep: a few times in the shorter timeout.
// Timeouts that are too short it makes longer.
func (l *limiter) setPeriod() {
	l.IdleTimeout = atLeastMinTimeout(l.IdleTimeout)
	l.FrameTimeout = atLeastMinTimeout(l.FrameTimeout)

	shorter := min(l.IdleTimeout, l.FrameTimeout)
	if shorter == 0 {
		shorter = max(l.IdleTimeout, l.FrameTimeout) // the only one, or none
	}
	l.period = shorter / sweepsPerTimeout
}

// atLeastMinTimeout returns the timeout that is meant; 0: none.
func atLeastMinTimeout(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return 0
	}
	return max(timeout, minTimeout)
}

// pause is the server's Pause.
func (l *limiter) pause(held int, err error) time.Duration {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		if time.Since(l.lastWarned) > starvedWarning {
			l.lastWarned = time.Now()
			slog.Warn("out of file descriptors: new connections wait", "held", held, "err", err)
		}
		return starvedPause // the listener stays ready: without a pause we would spin
	case l.MaxConns > 0 && held >= l.MaxConns:
		return -1 // until closed calls resume
	}
	return SpreadPause(held, err)
}

// closed is told of every connection that has closed. A full worker that loses
// one has MaxConns-1 then: that is when to accept again.
func (l *limiter) closed(c *Conn) {
	l.count(c)
	if l.MaxConns > 0 && len(l.server.conns) == l.MaxConns-1 {
		l.server.resume()
	}
}

// sweep looks at all connections, ends those that are over a timeout, and calls
// itself again. That is cheaper than a timer for each connection, which every
// request would have to move.
//
// Time is counted in sweeps. So when the worker was stopped for a while, that
// counts as one sweep, however long it was.
func (l *limiter) sweep() {
	var overdue []*Conn
	for c := range l.server.conns {
		c.grow()
		if l.isLate(c) {
			overdue = append(overdue, c)
		}
	}
	l.endOverdue(overdue)
}

// grow counts one more sweep for the connection, and for its unfinished
// request. While the peer waits for us, both start at 0 again.
func (c *Conn) grow() {
	if c.waitsForUs() || c.state == stateLingering { // a lingering one has its own timer
		c.progress.idle, c.progress.partial = 0, 0
		return
	}

	c.progress.idle++
	if len(c.out) > 0 && c.takesReplies() {
		c.progress.idle = 0
	}
	if c.decoder.Missing() > 0 && len(c.out) == 0 { // with replies unsent we don't read
		c.progress.partial++
	} else {
		c.progress.partial = 0
	}
}

// takesReplies reports whether the peer has taken some of its replies since the
// last sweep. That we could write some tells less: the kernel's buffer may hold
// megabytes, and is not said to have room until a third of it is empty.
func (c *Conn) takesReplies() bool {
	before := c.progress.unacked
	now, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	c.progress.unacked = now
	return err == nil && now < before
}

// waitsForUs reports whether a request has come in whole and is not answered
// yet.
func (c *Conn) waitsForUs() bool {
	return c.unanswered || c.hasRequest()
}

// isLate reports whether a connection is over a timeout.
func (l *limiter) isLate(c *Conn) bool {
	return l.expired(c.progress.idle, l.IdleTimeout) || l.expired(c.progress.partial, l.FrameTimeout)
}

// expired reports whether so many sweeps are more than a timeout. The first of
// them doesn't count: what it saw may have begun just before it.
func (l *limiter) expired(sweeps int, timeout time.Duration) bool {
	return timeout > 0 && time.Duration(sweeps-1)*l.period >= timeout
}

// endOverdue ends connections that are over a timeout, some of them in each
// turn, and then arranges for the next sweep.
func (l *limiter) endOverdue(overdue []*Conn) {
	now := min(len(overdue), maxEnds)
	for _, c := range overdue[:now] {
		l.end(c)
	}

	if now < len(overdue) {
		l.server.loop.Post(func() { l.endOverdue(overdue[now:]) })
	} else {
		l.server.loop.AfterFunc(l.period, l.sweep)
	}
}

// end ends a connection that is over a timeout. But first it reads, and
// handles, what has arrived: if the worker was stopped, or too busy to read,
// that may be a request, or so much of one that it takes more visits. A client
// that sends one chunk a sweep to profit from this has at most as many sweeps
// as a request has chunks.
func (l *limiter) end(c *Conn) {
	more := 0
	if c.state < stateLingering && !c.waitsForUs() && len(c.out) == 0 {
		c.read()
		more, _ = unread(c.fd)
	}
	if c.state >= stateLingering || c.waitsForUs() || more > 0 || !l.isLate(c) {
		return // it has ended, or it is we who are late
	}

	switch {
	case l.expired(c.progress.partial, l.FrameTimeout):
		c.fail(errSlowRequest)
	case len(c.out) > 0:
		c.close() // the peer doesn't read: there is no telling it
	default:
		c.linger()
		l.count(c) // flush would, but it isn't called here
	}
}

// count brings up to date what a connection holds of a request that has not
// come in whole, or waits for its turn. What fits into a chunk is every
// connection's own.
func (l *limiter) count(c *Conn) {
	if l.MaxUnfinished <= 0 {
		return
	}

	held := max(0, cap(c.decoder.kept)+cap(c.waiting)-chunkSize)
	if held > 0 && c.progress.held == 0 {
		c.progress.since = time.Now()
	}
	l.unfinished += held - c.progress.held
	c.progress.held = held
}

// shed is called when a chunk has been read. If too much is unfinished now, it
// ends some of the connections that hold it, until an eighth is free: to look
// for them at each chunk would take too long. Bytes times seconds say whose
// connection is first. By bytes alone, strangers who hold a little less than a
// long request could keep all long requests out; by time alone, somebody's
// short one would pay for them.
func (l *limiter) shed() {
	if l.MaxUnfinished <= 0 || l.unfinished <= l.MaxUnfinished {
		return
	}

	var holders []*Conn
	for c := range l.server.conns {
		if c.progress.held > 0 && c.decoder.Missing() > 0 && !c.unanswered {
			holders = append(holders, c)
		}
	}
	now := time.Now()
	slices.SortFunc(holders, func(a, b *Conn) int { return cmp.Compare(b.cost(now), a.cost(now)) })

	for _, c := range holders[:min(len(holders), maxEnds)] {
		if l.unfinished <= l.MaxUnfinished-l.MaxUnfinished/8 {
			break
		}
		c.fail(errUnfinished)
	}
}

// cost is what a connection has had of the memory for what is unfinished, in
// bytes times seconds.
func (c *Conn) cost(now time.Time) float64 {
	return float64(c.progress.held) * now.Sub(c.progress.since).Seconds()
}
