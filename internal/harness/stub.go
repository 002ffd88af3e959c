// Stubs: servers without a program, whose behaviour the test decides.

package harness

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/rpcworkbook/internal/runpicture"
)

// A Stub is a server in the test process.
type Stub struct {
	Addr string // host:port

	t        testing.TB
	listener net.Listener
	conns    atomic.Int64
	requests atomic.Int64
	resets   atomic.Int64
	serving  sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // nil when closed
}

// StartStub starts a server on addr; "" is any free port. It reads requests,
// and calls serve with each one's body, one at a time on each connection; serve
// may write what it likes. When serve returns an error the connection is
// closed. The stub ends with the test at the latest.
func StartStub(t testing.TB, addr string, serve func(conn net.Conn, body []byte) error) *Stub {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("start a stub server: %v", err)
	}

	s := &Stub{Addr: listener.Addr().String(), t: t, listener: listener, open: map[net.Conn]bool{}}
	DidAt(t, stubLane(listener), "started a stub server on %s", s.Addr)
	listens(t, s.Addr, stubLane(listener))
	s.serving.Go(func() { s.accept(serve) })
	t.Cleanup(s.Close)
	return s
}

// Conns returns how many connections have been accepted so far.
func (s *Stub) Conns() int { return int(s.conns.Load()) }

// Requests returns how many requests have been read so far.
func (s *Stub) Requests() int { return int(s.requests.Load()) }

// Resets returns how many connections the other side has reset so far. Others
// it has ended in good order.
func (s *Stub) Resets() int { return int(s.resets.Load()) }

// Open returns how many connections are open.
func (s *Stub) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Close closes the listener and all connections, and returns when nothing of
// the stub is left; a serve that doesn't return keeps it waiting. It may be
// called again.
func (s *Stub) Close() {
	s.listener.Close()
	s.mu.Lock()
	for conn := range s.open {
		conn.Close()
	}
	s.open = nil
	s.mu.Unlock()
	s.serving.Wait()
}

func (s *Stub) accept(serve func(net.Conn, []byte) error) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}

		s.conns.Add(1)
		s.mu.Lock()
		if s.open == nil {
			conn.Close()
		} else {
			s.open[conn] = true
		}
		s.mu.Unlock()

		s.serving.Go(func() { s.converse(conn, serve) })
	}
}

// asked notes a request.
func (s *Stub) asked(frame []byte) {
	lane := stubLane(s.listener)
	from, known := callerOf(s.t)
	if !known {
		from = lane
	}
	Note(s.t, func() runpicture.Event {
		return runpicture.Event{Kind: runpicture.Frame, Lane: from, To: []runpicture.Lane{lane},
			Text: "the stub server was asked " + clip(string(frame[4:])), Data: data(frame)}
	})
}

func (s *Stub) converse(conn net.Conn, serve func(net.Conn, []byte) error) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, conn)
	}()

	for {
		var header [4]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			if errors.Is(err, syscall.ECONNRESET) {
				s.resets.Add(1)
			}
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(header[:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}

		s.requests.Add(1)
		s.asked(append(header[:], body...))
		if serve(conn, body) != nil {
			return
		}
	}
}
