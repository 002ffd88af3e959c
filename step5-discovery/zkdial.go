// How a session dials: which address is next, what its TCP connections do for
// it, and where the library's log goes.

package main

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

// headStart is what each connection gives the library to send its watches
// before the first answer comes in. Sending them takes no time at all, unless
// the machine is very busy; and every connection, the first one, too, begins
// that much later.
//
// The watches go with the number of the last change that the library has seen.
// Any answer raises that number, on another goroutine and without a lock. So
// without the head start a change that came while there was no connection could
// go unnoticed.
const headStart = 150 * time.Millisecond

// hostList gives the library the addresses in turn. The library's own list
// looks names up once, and fails if that does; and with a single address it
// waits for a second before each connection.
type hostList struct {
	hosts []string
	tries int // since the last session
}

func (h *hostList) Init(hosts []string) error { h.hosts = hosts; return nil }
func (h *hostList) Len() int                  { return len(h.hosts) }
func (h *hostList) Connected()                { h.tries = 0 }

// Next returns the next address. When all have been tried three times in vain,
// the library is to pause, for a second, before each further round.
func (h *hostList) Next() (host string, pause bool) {
	n := len(h.hosts)
	i := h.tries % n
	pause = i == 0 && h.tries >= 3*n

	h.tries++
	return h.hosts[i], pause
}

// The library sets its read deadlines in this order, in each connection. A test
// holds the library to the version that go.mod asks for.
const (
	authenticateBegins = 1 // (*zk.Conn).authenticate, for the length of the answer
	authenticateGoesOn = 2 // (*zk.Conn).authenticate, for the rest: it takes the deadline back
	recvLoopBegins     = 3 // (*zk.Conn).recvLoop, for the first packet of the session
)

// timeoutEnd is where the session timeout ends in the answer to a handshake:
// after the length and the version, of 4 bytes each like the timeout itself.
const timeoutEnd = 12

// A tcpConn is one of the session's TCP connections. It limits how long the
// handshake takes: the library sets a deadline for the first bytes of the
// answer that is longer than the session lasts, and then none for the rest. Its
// later deadlines are good: they follow what ZooKeeper made of the session
// timeout. A tcpConn also gives the library its head start, and notes what
// ZooKeeper grants, and when the connection breaks.
type tcpConn struct {
	net.Conn
	opened   time.Time
	patience time.Duration // for the whole handshake, from opened on
	broken   atomic.Bool   // a read or a write has failed

	// The library's goroutine that reads has these to itself.
	deadlines int    // for reads, set so far
	answer    []byte // how ZooKeeper's answer to the handshake begins: timeoutEnd bytes
}

func (c *tcpConn) SetReadDeadline(t time.Time) error {
	c.deadlines++
	switch c.deadlines {
	case authenticateBegins, authenticateGoesOn:
		t = c.opened.Add(c.patience)
	case recvLoopBegins:
		time.Sleep(headStart) // another goroutine sends the watches now
	}
	return c.Conn.SetReadDeadline(t)
}

// isAnswered reports whether ZooKeeper has answered the handshake.
func (c *tcpConn) isAnswered() bool { return len(c.answer) == timeoutEnd }

// sessionTimeout returns the session timeout that ZooKeeper has granted, once
// the handshake has succeeded.
func (c *tcpConn) sessionTimeout() time.Duration {
	return time.Duration(binary.BigEndian.Uint32(c.answer[timeoutEnd-4:])) * time.Millisecond
}

func (c *tcpConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.note(err)

	missing := timeoutEnd - len(c.answer)
	c.answer = append(c.answer, b[:min(n, missing)]...)
	return n, err
}

func (c *tcpConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.note(err)
	return n, err
}

func (c *tcpConn) note(err error) {
	if err != nil {
		c.broken.Store(true)
	}
}

// debugLog takes what the library logs, for those who want to see it.
type debugLog struct{}

func (debugLog) Printf(format string, args ...any) {
	slog.Debug("ZooKeeper client", "says", fmt.Sprintf(format, args...))
}
