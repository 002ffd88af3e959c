// Who is at the other end, for the trace: which program listens on an address,
// and which of its processes holds a connection.

package harness

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/runpicture"
)

// listens notes who listens on an address.
func listens(t testing.TB, addr string, lane runpicture.Lane) {
	ifTold(t, func(s *story) {
		if s.servers == nil {
			s.servers = map[string]runpicture.Lane{}
		}
		s.servers[addr] = lane
	})
}

// serverAt returns who listens on an address, if anybody has said so.
func serverAt(t testing.TB, addr string) (lane runpicture.Lane, known bool) {
	ifTold(t, func(s *story) { lane, known = s.servers[addr] })
	return lane, known
}

// UserOf returns the program of the test that was started with an address in
// its command line, the latest one.
func UserOf(t testing.TB, addr string) (lane runpicture.Lane, known bool) {
	ifTold(t, func(s *story) {
		for _, p := range s.programs {
			if strings.Contains(strings.Join(p.cmd.Args, " "), addr) {
				lane, known = p.lane(), true
			}
		}
	})
	return lane, known
}

// callerOf returns the program of the test that listens nowhere, the latest
// one.
func callerOf(t testing.TB) (lane runpicture.Lane, known bool) {
	ifTold(t, func(s *story) {
		servers := slices.Collect(maps.Values(s.servers))
		for _, p := range s.programs {
			if !slices.Contains(servers, p.lane()) {
				lane, known = p.lane(), true
			}
		}
	})
	return lane, known
}

// maxHeld is how many connections of a test are asked who holds their other
// end: it costs a look at all descriptors of its programs.
const maxHeld = 12

// open gives the connection its lane, and notes that it is there.
func (c *Conn) open() {
	var from string
	if addr := c.tcp.LocalAddr(); addr != nil {
		from = addr.String()
	}
	addr := c.tcp.RemoteAddr()
	if addr == nil || !recording() {
		return
	}

	ifTold(c.t, func(s *story) {
		s.conns++
		c.lane = runpicture.Lane{Place: runpicture.AtConn, Number: s.conns}
		if server, ok := s.servers[addr.String()]; ok {
			c.peer = []runpicture.Lane{server}
		}
	})
	Note(c.t, func() runpicture.Event {
		text := fmt.Sprintf("connected from %s to %s", from, addr)
		return runpicture.Event{Kind: runpicture.Opened, Lane: c.lane, Text: text}
	})
}

// closed notes that the test has closed the connection.
func (c *Conn) closed() {
	Note(c.t, func() runpicture.Event {
		return runpicture.Event{Kind: runpicture.Closed, Lane: c.lane, Text: "closed"}
	})
}

// sending is the event of bytes that go to the server.
func (c *Conn) sending(b []byte) runpicture.Event {
	return runpicture.Event{Kind: runpicture.Frame, Lane: c.lane, To: c.peer, Text: sent(b), Data: data(b)}
}

// sent says that these bytes were sent.
func sent(b []byte) string {
	shown := fmt.Sprintf("%q", b[:min(len(b), 200)])
	return fmt.Sprintf("sent %d bytes: %s", len(b), cut(shown, 120, len(b)))
}

// received notes a reply, and has the first one of a connection tell who sent
// it.
func (c *Conn) received(reply Reply, header, body []byte) {
	gotReply(c.t)
	if !recording() {
		return
	}

	Note(c.t, func() runpicture.Event {
		e := runpicture.Event{
			Kind: runpicture.Reply, Lane: c.lane,
			Text: fmt.Sprintf("received %v", reply), Data: data(append(header, body...)),
		}
		if c.peer != nil {
			e.Lane, e.To = c.peer[0], []runpicture.Lane{c.lane}
		}
		return e
	})
	if targets.pictures != "" && c.peer != nil && c.lane.Number <= maxHeld && proc.HasProc() {
		c.asked.Do(func() { go c.findHolder() })
	}
}

// findHolder notes which process holds the other end of the connection.
func (c *Conn) findHolder() {
	var programs []*Program
	ifTold(c.t, func(s *story) { programs = slices.Clone(s.programs) })
	i := slices.IndexFunc(programs, func(p *Program) bool { return p.PID == c.peer[0].Group })
	all, err := proc.Table()
	if i < 0 || err != nil {
		return
	}

	inode := "socket:[" + sockets(c.t)[c.serverEnd()].inode + "]"
	for _, q := range all {
		if q.Group != programs[i].PID || !q.Alive() || q.PID == q.Group {
			continue // a program that is alone is drawn at the other end anyway
		}
		for _, target := range Descriptors(c.t, q.PID) {
			if target == inode && !strings.Contains(inode, "[0]") {
				Note(c.t, func() runpicture.Event {
					to := programs[i].lanes([]int{q.PID})
					return runpicture.Event{Kind: runpicture.Held, Lane: c.lane, To: to}
				})
				return
			}
		}
	}
}

// stubLane returns the lane of a server in the test process.
func stubLane(listener net.Listener) runpicture.Lane {
	return runpicture.Lane{Place: runpicture.AtStub, Number: listener.Addr().(*net.TCPAddr).Port}
}
