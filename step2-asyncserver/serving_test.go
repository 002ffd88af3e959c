// A server in the test's own process, for the tests of connections and server:
// clients speak to it over loopback while the test looks inside.

//go:build unix

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// A serving is a server under test, on its own loop.
type serving struct {
	*rig
	server *Server
	addr   string
	held   chan *Conn // connections whose call "later" came in, and is not answered yet
	took   []string   // the params of the calls of "note", as they were handled; they belong to the loop
}

// newServing returns a server whose loop doesn't run yet. It answers every
// call with the service, except four methods: "later" is left to the test,
// "panic" panics, "both" replies first, and "note" is noted, which takes a
// while when it is long.
func newServing(t testing.TB, p Poller) *serving {
	t.Helper()
	listener, addr, err := Listen("127.0.0.1", "0")
	require.NoError(t, err)
	return newServingOn(t, p, listener, addr.String())
}

func newServingOn(t testing.TB, p Poller, listener int, addr string) *serving {
	t.Helper()
	s := &serving{rig: newRig(t, p), addr: addr, held: make(chan *Conn, 1000)}
	service := NewService()
	server, err := NewServer(s.Loop, listener, func(c *Conn, body []byte) {
		switch req, _ := ParseRequest(body); req.Method {
		case "later":
			s.held <- c
		case "note":
			note := strings.TrimRight(string(req.Params), " ")
			s.took = append(s.took, note)
			if len(body) > longBody {
				time.Sleep(5 * time.Millisecond)
			}

			c.Reply(NewReply("noted", json.RawMessage(note)))
		case "both":
			c.Reply(NewReply("first", 1))
			c.Reply(NewReply("second", 2))
			panic("after the reply")
		case "panic":
			panic("for a test")
		default:
			c.Reply(service.Answer(body))
		}
	})
	require.NoError(t, err)
	s.server = server
	return s
}

// eachServing runs the test on a server that runs, once per poller.
func eachServing(t *testing.T, test func(t *testing.T, s *serving)) {
	t.Helper()
	eachPoller(t, func(t *testing.T, p Poller) {
		s := newServing(t, p)
		s.start()
		test(t, s)
	})
}

func (s *serving) dial() *harness.Conn {
	s.t.Helper()
	return harness.Dial(s.t, s.addr)
}

// dialDeaf connects with buffers so small, at both ends, that hardly anything
// fits in between.
func (s *serving) dialDeaf() *harness.Conn {
	s.t.Helper()
	s.on(func() {
		for _, buffer := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} {
			assert.NoError(s.t, unix.SetsockoptInt(s.server.listener, unix.SOL_SOCKET, buffer, 4096))
		}
	})
	return harness.DialSmall(s.t, s.addr)
}

// ping makes a call that must be answered at once.
func (s *serving) ping(c *harness.Conn) {
	s.t.Helper()
	c.SendRequest("ping", "there?")
	c.WantPong(`"there?"`)
}

// later sends a call that stays unanswered, and returns the server's end.
func (s *serving) later(c *harness.Conn) *Conn {
	s.t.Helper()
	c.SendRequest("later", nil)
	return receive(s.t, s.held)
}

// wantConns waits until the server has that many connections.
func (s *serving) wantConns(n int) {
	s.t.Helper()
	s.eventually("the connections that the server should have", func() bool { return len(s.server.conns) == n })
}

// conn returns the server's end of its only connection.
func (s *serving) conn() *Conn {
	s.t.Helper()
	s.wantConns(1)
	var only *Conn
	s.on(func() {
		for only = range s.server.conns {
		}
	})
	return only
}

// waits returns what a connection waits for.
func (s *serving) waits(c *Conn) (mask Events) {
	s.t.Helper()
	s.on(func() { mask = s.watches[c.fd].mask })
	return mask
}

// unread returns how many bytes have arrived that the server has not read.
func (s *serving) unread(c *Conn) (n int) {
	s.t.Helper()
	s.on(func() { n = unreadBytes(c) })
	return n
}

func unreadBytes(c *Conn) int {
	n, _, err := unix.Recvfrom(c.fd, make([]byte, 1<<20), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return 0
	}
	return n
}

// pings returns the frames of n pings with the params 0 to n-1.
func pings(n int) (frames []byte) {
	for i := range n {
		frames = append(frames, harness.Frame(harness.Request("ping", i))...)
	}
	return frames
}
