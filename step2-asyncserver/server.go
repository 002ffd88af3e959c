// The server: it accepts connections on a listening socket and hands their
// requests to a Handler. It runs on an event loop; other processes may accept
// from the same socket.

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// What one visit takes at most, before it is the next one's turn.
const (
	chunkSize  = 16 << 10      // bytes that a connection reads
	longBody   = chunkSize     // the longest request that is handled at once: to parse a longer one can take 15 ms
	maxReplies = 4 * chunkSize // bytes of replies unsent when one more request is handled; a chunk may hold hundreds
	maxAccepts = 32            // connections that the server accepts
)

// maxQueue is how many connections the server accepts in order to drain: about
// as many as the kernel may queue, and not more for those who come meanwhile.
const maxQueue = 1 << 16

const (
	// longTurn is how long a turn must be for the server to catch up with
	// accepting. It is longer than any pause between two accepts.
	longTurn = time.Millisecond

	// troublePause is how long the listening socket is left alone when
	// something went wrong.
	troublePause = 100 * time.Millisecond
)

// A Handler answers the request in body by calling c.Reply once: before it
// returns, or later on the loop's goroutine. The body is the Handler's. A
// Handler must not block.
type Handler func(c *Conn, body []byte)

// A Server is the connections of one process. It belongs to its loop's
// goroutine, and so do its exported fields: they may be set before the loop
// runs, or later by a function that the loop calls.
type Server struct {
	// Pause returns for how long to leave the listening socket alone after
	// an accept that ended with err, held connections being open. A negative
	// time lasts until somebody calls resume. NewServer sets SpreadPause.
	Pause func(held int, err error) time.Duration
	// MaxFrame is the longest request body accepted, in bytes, on connections
	// that open from now on. NewServer sets MaxRequest.
	MaxFrame int
	// OnClose, if set, is called when a connection has closed: nobody will
	// read what the Handler may still be about to reply.
	OnClose func(c *Conn)

	loop    *Loop
	handler Handler

	// The listening socket.
	listener int    // -1 when draining
	pause    *Timer // ends the time in which it is left alone

	// The connections.
	conns map[*Conn]struct{} // all that are not closed
	chunk []byte             // what is being read, shared: only one connection reads at a time
	long  []*Conn            // those that wait with a long request, the oldest first
}

// Listen opens a listening TCP socket as a plain descriptor, which doesn't
// block and isn't inherited by programs that we start, and returns the address
// it is bound to. Port "0" lets the kernel choose one.
func Listen(host, port string) (fd int, addr *net.TCPAddr, err error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	ln, err := config.Listen(context.Background(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return -1, nil, err
	}

	// As long as ln lives, Go's own poller wakes this process for every
	// connection, so keep a duplicate of its descriptor and close ln.
	defer ln.Close()

	fd, err = duplicate(ln.(*net.TCPListener))
	return fd, ln.Addr().(*net.TCPAddr), err
}

// duplicate returns another descriptor of a listener's socket.
func duplicate(ln *net.TCPListener) (fd int, err error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return -1, err
	}

	fd = -1 // unless raw.Control calls the function, which it doesn't for a closed listener
	var dupErr error
	err = raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

// NewServer starts serving on loop what comes in at listener, which the server
// owns from now on. It gives the loop's OnDrain a function that drains the
// server. It returns an error, and the listener stays the caller's, when the
// kernel refuses to watch it.
func NewServer(loop *Loop, listener int, handler Handler) (*Server, error) {
	s := &Server{
		Pause:    SpreadPause,
		MaxFrame: MaxRequest,
		loop:     loop,
		handler:  handler,
		listener: listener,
		conns:    make(map[*Conn]struct{}),
		chunk:    make([]byte, chunkSize),
	}
	err := s.listen(Readable)
	if err != nil {
		return nil, fmt.Errorf("accept connections: %w", err)
	}

	loop.OnDrain(s.drain)
	return s, nil
}

// SpreadPause is the usual Pause. Every waiting worker wakes up for a new
// connection, and without a pause the one that happens to be awake takes
// most of them. The more connections a worker holds, the longer it leaves
// the next to the others. Among hundreds evenness comes by itself, and a storm
// of thousands wants to be over soon.
func SpreadPause(held int, err error) time.Duration {
	if err != nil {
		slog.Error("accept failed", "err", err)
		return troublePause // the usual cause, too many open files, needs others to close some
	}
	if held > 500 {
		return 100 * time.Microsecond
	}
	return min(time.Duration(held)*20*time.Microsecond, 400*time.Microsecond)
}

// listen says what the server waits for at the listening socket: Readable, or 0
// while it leaves the socket alone.
func (s *Server) listen(mask Events) error {
	return s.loop.Watch(s.listener, mask, func(Events) { s.accept() })
}

// accept takes one connection and then pauses. But after a long turn it takes
// as many as it would have taken meanwhile: or else clients that keep it busy
// would starve all that are new.
func (s *Server) accept() {
	behind := s.loop.lastTurn // time to make up for
	if behind < longTurn {
		behind = 0
	}

	for range maxAccepts {
		fd, err := accept(s.listener)
		if nobodyThere(err) {
			return
		}
		if err == nil {
			s.open(fd)
		}

		pause := s.Pause(len(s.conns), err)
		behind -= pause
		catchUp := err == nil && pause >= 0 && behind >= 0
		if pause != 0 && !catchUp {
			s.rest(pause)
			return
		}
	}
}

// nobodyThere reports whether an accept found nobody, which is no trouble:
// another worker was faster, the caller has left, or the socket is shut down
// and the loop is about to drain.
func nobodyThere(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) ||
		errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINVAL)
}

// rest leaves the listening socket alone for that long, or until resume if the
// time is negative.
func (s *Server) rest(pause time.Duration) {
	_ = s.listen(0) // what can't be watched is left alone as well
	s.pause.Stop()
	if pause > 0 {
		s.pause = s.loop.AfterFunc(pause, s.resume)
	}
}

// resume ends a pause. While the server drains it does nothing.
func (s *Server) resume() {
	if s.listener < 0 {
		return
	}

	s.pause.Stop()
	err := s.listen(Readable)
	if err != nil {
		slog.Error("no connections can be accepted for now", "err", err)
		s.rest(troublePause)
	}
}

// open starts serving a connection.
func (s *Server) open(fd int) {
	// Or else a reply would wait for the acknowledgement of the one before.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)

	c := &Conn{server: s, fd: fd, decoder: NewDecoder(s.MaxFrame)}
	c.ready = c.onReady

	s.conns[c] = struct{}{}
	c.watch(Readable)
}

// queue has a connection's long request handled in its turn.
func (s *Server) queue(c *Conn) {
	s.long = append(s.long, c)
	if len(s.long) == 1 {
		s.loop.AfterFunc(0, s.handleLong)
	}
}

// handleLong handles long requests: at least one in a turn of the loop, but
// for no longer than the rest of the turn takes.
func (s *Server) handleLong() {
	began := time.Now()
	for len(s.long) > 0 {
		c := s.long[0]
		if c.state != stateClosed {
			c.handleWaiting()
		}
		s.long[0] = nil // only now: queue must see that there is one
		s.long = s.long[1:]

		if time.Since(began) >= s.loop.lastTurn/2 {
			break
		}
	}

	if len(s.long) > 0 {
		s.loop.AfterFunc(0, s.handleLong)
	}
}

// drain takes what has already connected, stops listening, and closes every
// connection as soon as what came in is answered.
func (s *Server) drain() {
	s.acceptQueued()
	s.pause.Stop()
	s.loop.CloseFD(s.listener)
	s.listener = -1

	for c := range s.conns {
		c.drain()
	}
}

// acceptQueued takes all callers who wait at the listening socket: nobody else
// may be left to take them.
func (s *Server) acceptQueued() {
	for range maxQueue {
		fd, err := accept(s.listener)

		switch {
		case err == nil:
			s.open(fd)
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case nobodyThere(err):
			return
		default:
			slog.Error("accept failed: callers may be lost at the end", "err", err)
			return
		}
	}
}
