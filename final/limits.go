// Limits: what one worker grants to strangers. Clients that connect and say
// nothing, that begin a frame and never end it, or that are simply too many
// must not use up what the others need.

//go:build unix

package rpc

import (
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

const (
	starvedPause = 100 * time.Millisecond // the same when there are no more descriptors
	starvedWord  = 10 * time.Second       // between two words about that in the log
)

// Limits bound what clients can use up in one worker. A zero field is no
// limit.
type Limits struct {
	// IdleTimeout is how long a connection may go without a whole request. It
	// also ends those that don't read their replies.
	IdleTimeout time.Duration
	// FrameTimeout is how long a request may take to come in whole.
	FrameTimeout time.Duration
	// MaxConns is how many connections the worker holds at most. Further ones
	// wait to be accepted, by another worker perhaps.
	MaxConns int
	// MaxFrame is the longest request body accepted, in bytes. It can only
	// lower the limit that every connection has: more than MaxRequest counts
	// as MaxRequest, because clients take no longer replies.
	MaxFrame int
}

// limiter is the Limits at work in one server.
type limiter struct {
	Limits
	server *Server
	said   time.Time // when we last said that we are out of descriptors
	seen   map[*Conn]*progress
}

// progress is what the sweeps know of a connection.
type progress struct {
	requests int       // handled so far
	since    time.Time // when the last one was, or when the connection was first seen
	begun    time.Time // since when the next one has been coming in; zero: it has not begun
	counted  int       // requests at the last sweep
}

// Apply puts the limits on a server. Call it once, before the loop runs.
func (l Limits) Apply(s *Server) {
	lim := &limiter{Limits: l, server: s, seen: make(map[*Conn]*progress)}
	s.Pause = lim.pause
	onClose := s.OnClose
	s.OnClose = func(c *Conn) {
		if onClose != nil {
			onClose(c)
		}
		lim.onClose(c)
	}
	if l.MaxFrame > 0 {
		s.MaxFrame = min(l.MaxFrame, MaxRequest)
	}
	if lim.period() == 0 {
		return
	}
	handler := s.handler
	s.handler = func(c *Conn, body []byte) {
		lim.of(c).requests++
		handler(c, body)
	}
	lim.sweep()
}

// pause is the server's Pause.
func (l *limiter) pause(held int, err error) time.Duration {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		if time.Since(l.said) > starvedWord {
			l.said = time.Now()
			slog.Warn("out of file descriptors: new connections wait", "held", held, "err", err)
		}
		return starvedPause // the listener stays ready: without a pause we would spin
	case l.MaxConns > 0 && held >= l.MaxConns:
		return -1 // until there is room again
	}
	return SpreadPause(held, err)
}

// onClose accepts again when a full worker has room for one more.
func (l *limiter) onClose(*Conn) {
	if l.MaxConns > 0 && len(l.server.conns) == l.MaxConns-1 {
		l.server.resume()
	}
}

// sweep ends the connections that are over a timeout, and comes again. It
// looks at all of them a few times per timeout, which is cheaper than a timer
// for each that every request would have to move.
func (l *limiter) sweep() {
	now := time.Now()
	for c := range l.seen {
		if c.state == stateClosed {
			delete(l.seen, c)
		}
	}
	for c := range l.server.conns {
		p := l.of(c)
		if p.since.IsZero() || p.requests != p.counted || c.unanswered {
			p.since, p.begun, p.counted = now, time.Time{}, p.requests
		}
		if c.decoder.Buffered() == 0 || len(c.out) > 0 { // with replies unsent it is we who don't read
			p.begun = time.Time{}
		} else if p.begun.IsZero() {
			p.begun = now
		}
		switch {
		case c.unanswered || c.state == stateLingering:
		case over(now, p.begun, l.FrameTimeout):
			c.fail(errors.New("the request did not come in whole in time"))
		case over(now, p.since, l.IdleTimeout) && len(c.out) > 0:
			c.close() // the peer doesn't read: there is no telling it
		case over(now, p.since, l.IdleTimeout):
			c.linger()
		}
	}
	l.server.loop.AfterFunc(l.period(), l.sweep)
}

// of returns what is known of a connection.
func (l *limiter) of(c *Conn) *progress {
	p := l.seen[c]
	if p == nil {
		p = &progress{}
		l.seen[c] = p
	}
	return p
}

// period is a quarter of the shortest timeout, so that none is exceeded by
// more than a quarter; 0 without one.
func (l *limiter) period() time.Duration {
	shortest := l.IdleTimeout
	if shortest == 0 || l.FrameTimeout > 0 && l.FrameTimeout < shortest {
		shortest = l.FrameTimeout
	}
	return shortest / 4
}

func over(now, since time.Time, timeout time.Duration) bool {
	return timeout > 0 && !since.IsZero() && now.Sub(since) > timeout
}
