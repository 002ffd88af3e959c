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
	// chunkSize is how many bytes a connection reads.
	chunkSize = 16 << 10

	// longBody is the longest request that is handled at once. To parse a
	// longer one can take 15 ms: it waits in the longQueue.
	longBody = chunkSize

	// maxReplies is how many bytes of replies may be unsent when one more
	// request is handled. A chunk may hold hundreds of requests.
	maxReplies = 4 * chunkSize

	// maxAccepts is how many connections the server accepts.
	maxAccepts = 32
)

const (
	// maxQueue bounds the accepts of a drain. The kernel's queue is hardly
	// longer. Without a bound, callers who keep coming would keep the drain
	// from ending.
	maxQueue = 1 << 16

	// longTurn is how long a turn must have been for the server to accept
	// several connections at once, to make up for those it didn't accept
	// meanwhile. It is longer than any pause between two accepts.
	longTurn = time.Millisecond

	// troublePause is how long the listening socket is left alone when
	// something went wrong.
	troublePause = 100 * time.Millisecond
)

// A Handler answers the request in body by calling c.Reply once: before it
// returns, or later on the loop's goroutine. The body is the Handler's. A
// Handler must not block.
type Handler func(c *Conn, body []byte)

// A Server is the connections of one loop. It belongs to that loop's
// goroutine, and so do its exported fields: they may be set before the loop
// runs, or later by a function that the loop calls.
type Server struct {
	// Pause returns for how long to leave the listening socket alone after an
	// accept. It is given the number of open connections and the accept's
	// error, or nil. A negative time lasts until resume is called. NewServer
	// sets SpreadPause.
	Pause func(held int, err error) time.Duration
	// MaxFrame is the longest request body accepted, in bytes, on connections
	// that open from now on. NewServer sets MaxRequest.
	MaxFrame int
	// OnClose, if set, is called when a connection has closed: a reply that the
	// Handler still has to give will reach nobody.
	OnClose func(c *Conn)

	loop    *Loop
	handler Handler

	// The listening socket.
	listener int    // its descriptor; -1 once the server drains
	pause    *Timer // ends the time in which it is left alone

	// The connections.
	conns     map[*Conn]struct{} // all that are not closed
	chunk     []byte             // what is being read, shared: only one connection reads at a time
	longQueue []*Conn            // those that wait with a long request, the oldest first
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

// NewServer starts serving on loop whoever connects to listener, which the
// server owns from now on. It gives the loop's OnDrain a function that drains
// the server. When the kernel refuses to watch the listener, NewServer returns
// an error, and the listener stays the caller's.
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
	err := s.watchListener(Readable)
	if err != nil {
		return nil, fmt.Errorf("accept connections: %w", err)
	}

	loop.OnDrain(s.drain)
	return s, nil
}

// SpreadPause is the usual Pause. Every waiting worker wakes up for a new
// connection, and without a pause the one that happens to be awake takes most
// of them. The more connections a worker holds, the longer it leaves the next
// to the others, up to 0.4 ms. With more than 500 it is 0.1 ms: among so many,
// evenness comes by itself, and a storm of thousands should be over soon. After
// an error SpreadPause logs it and returns 100 ms.
func SpreadPause(held int, err error) time.Duration {
	switch {
	case err != nil:
		slog.Error("accept failed", "err", err)
		return troublePause // the usual cause, too many open files, needs others to close some
	case held > 500:
		return 100 * time.Microsecond
	}
	return min(time.Duration(held)*20*time.Microsecond, 400*time.Microsecond)
}

// watchListener says what the server waits for at the listening socket:
// Readable, or 0 while it leaves the socket alone.
func (s *Server) watchListener(mask Events) error {
	return s.loop.Watch(s.listener, mask, func(Events) { s.acceptSome() })
}

// acceptSome takes one connection and then pauses. But after a long turn it
// takes as many as it would have taken in that time. Otherwise clients that
// keep it busy would starve new ones.
func (s *Server) acceptSome() {
	budget := time.Duration(0) // how much of pauses we may skip
	if s.loop.lastTurn >= longTurn {
		budget = s.loop.lastTurn
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
		if err != nil || pause < 0 || pause > budget {
			s.rest(pause)
			return
		}
		budget -= pause
	}
}

// nobodyThere reports whether an accept found nobody, which is no trouble:
// another worker was faster, a signal came in between, the caller has left, or
// the socket is shut down. In the last case the loop is about to be drained;
// until then it is woken up in vain.
func nobodyThere(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) ||
		errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINVAL)
}

// rest leaves the listening socket alone for that long, or until resume if the
// time is negative.
func (s *Server) rest(pause time.Duration) {
	if pause == 0 {
		return
	}

	_ = s.watchListener(0) // if it fails, the socket isn't watched any more: left alone, too
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
	err := s.watchListener(Readable)
	if err != nil {
		slog.Error("no connections can be accepted for now", "err", err)
		s.rest(troublePause)
	}
}

// open starts serving a connection.
func (s *Server) open(fd int) {
	// Otherwise a reply would wait for the acknowledgement of the one before.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)

	c := &Conn{server: s, fd: fd, decoder: NewDecoder(s.MaxFrame)}
	c.onEvents = c.onReady

	s.conns[c] = struct{}{}
	c.watch(Readable)
}

// queue arranges for a connection's long request to be handled in its turn.
func (s *Server) queue(c *Conn) {
	s.longQueue = append(s.longQueue, c)
	if len(s.longQueue) == 1 {
		s.loop.AfterFunc(0, s.handleLong)
	}
}

// handleLong handles long requests: at least one in a turn of the loop, and
// more until they have had half as long as the last turn took. So, turn by
// turn, they get about as much time as everything else.
func (s *Server) handleLong() {
	began := time.Now()
	for len(s.longQueue) > 0 {
		c := s.longQueue[0]
		if c.state != stateClosed {
			c.handleWaiting()
		}
		// Only now: a queue called in handleWaiting must not find the longQueue
		// empty, or it would start a second timer.
		s.longQueue[0] = nil
		s.longQueue = s.longQueue[1:]

		if time.Since(began) >= s.loop.lastTurn/2 {
			break
		}
	}

	if len(s.longQueue) > 0 {
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

// acceptQueued takes all callers who wait at the listening socket. There may be
// other workers to take them, but we don't know of any.
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
