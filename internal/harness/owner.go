// Which process holds the other end of a connection, and whether it has read
// what was sent: from the kernel's table of TCP sockets.

package harness

import (
	"fmt"
	"iter"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// socket is the server's end of a connection.
type socket struct {
	inode  string // "0" until a process has accepted the connection
	unread int    // bytes that arrived and were not read
}

// ports identifies a connection on the loopback interface.
type ports struct{ local, remote int }

// A socketRow is one line of the kernel's table.
type socketRow struct {
	ports
	socket
	state string
}

// listening is the state of a socket that accepts connections.
const listening = "0A"

// socketRows yields the TCP sockets of this machine, see proc_net_tcp(5).
func socketRows(t testing.TB) iter.Seq[socketRow] {
	t.Helper()
	NeedProc(t)

	return func(yield func(socketRow) bool) {
		for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // a kernel without IPv6
			}
			for line := range strings.Lines(string(text)) {
				// sl local_address rem_address st tx_queue:rx_queue tr:tm->when
				// retrnsmt uid timeout inode
				fields := strings.Fields(line)
				if len(fields) < 10 || fields[0] == "sl" {
					continue
				}

				_, unread, _ := strings.Cut(fields[4], ":")
				n, _ := strconv.ParseInt(unread, 16, 64)
				row := socketRow{ports{hexPort(fields[1]), hexPort(fields[2])}, socket{fields[9], int(n)}, fields[3]}
				if !yield(row) {
					return
				}
			}
		}
	}
}

// sockets returns the TCP sockets of this machine by their ports.
func sockets(t testing.TB) map[ports]socket {
	t.Helper()
	all := map[ports]socket{}
	for row := range socketRows(t) {
		all[row.ports] = row.socket
	}
	return all
}

// hexPort returns the port of an address such as 0100007F:1F90.
func hexPort(address string) int {
	port, _ := strconv.ParseInt(address[strings.LastIndexByte(address, ':')+1:], 16, 32)
	return int(port)
}

// serverEnd returns how the server's end of the connection is listed.
func (c *Conn) serverEnd() ports {
	return ports{local: c.tcp.RemoteAddr().(*net.TCPAddr).Port, remote: c.tcp.LocalAddr().(*net.TCPAddr).Port}
}

// owners returns the pid that holds the server's end of each connection; 0 for
// one that still waits to be accepted, or that the server has closed.
func (s *Server) owners(t testing.TB, conns []*Conn) []int {
	t.Helper()
	table := sockets(t)
	holders := map[string]int{}
	for _, pid := range s.Processes(t) {
		for _, target := range Descriptors(t, pid) {
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				holders[strings.TrimSuffix(inode, "]")] = pid
			}
		}
	}

	pids := make([]int, len(conns))
	for i, c := range conns {
		pids[i] = holders[table[c.serverEnd()].inode]
	}
	return pids
}

// PIDOf returns the pid of the process that holds the other end of the
// connection; 0 while nobody has accepted it. It needs /proc: without, it
// skips the test.
func (s *Server) PIDOf(c *Conn) int {
	s.t.Helper()
	return s.owners(s.t, []*Conn{c})[0]
}

// Owners waits until all these connections are accepted, and returns the pids
// of the processes that hold their other ends. It needs /proc: without, it
// skips the test.
func (s *Server) Owners(t testing.TB, conns ...*Conn) []int {
	t.Helper()
	var pids []int
	Eventually(t, 10*time.Second, fmt.Sprintf("%d connections accepted", len(conns)), func() (bool, string) {
		pids = s.owners(t, conns)
		waiting := 0
		for _, pid := range pids {
			if pid == 0 {
				waiting++
			}
		}
		return waiting == 0, fmt.Sprintf("%d are not", waiting)
	})
	return pids
}

// WaitRead waits until the server has read all that was sent on the
// connection. It needs /proc: without, it skips the test.
func (s *Server) WaitRead(t testing.TB, c *Conn) {
	t.Helper()
	Eventually(t, 10*time.Second, "the server to read what was sent", func() (bool, string) {
		end := sockets(t)[c.serverEnd()]
		if end.inode == "" || end.inode == "0" {
			return false, "it has not accepted the connection"
		}
		return end.unread == 0, fmt.Sprintf("%d bytes unread", end.unread)
	})
}

// WaitServing waits until n processes of the server have each accepted a
// connection, and returns their pids, sorted. From then on all of them serve.
// It needs /proc: without, it skips the test.
func (s *Server) WaitServing(t testing.TB, n int) []int {
	t.Helper()
	// The connections stay open meanwhile: a busy worker leaves the next one
	// to others. Where many workers share few processors those that wake up
	// first take most, and the last one gets its turn in a long queue only: so
	// each attempt makes more connections at once.
	var conns []*Conn
	leave := func() {
		for _, c := range conns {
			c.Close()
		}
		conns = nil
	}

	var pids []int
	burst, within := n, 10*time.Second+time.Duration(n)*time.Second/2
	Eventually(t, within, fmt.Sprintf("%d processes that accept connections", n), func() (bool, string) {
		held := s.owners(t, conns)
		if !slices.Contains(held, 0) {
			if len(conns) > 500 {
				leave() // some programs can hold no more than a thousand
			}
			for range burst {
				conns = append(conns, s.Dial(t))
			}
			burst = min(2*burst, 256)
			held = s.owners(t, conns)
		}

		pids = append(pids, held...)
		slices.Sort(pids)
		pids = slices.Compact(slices.DeleteFunc(pids, func(pid int) bool { return pid == 0 }))
		return len(pids) == n, fmt.Sprintf("%d: %s", len(pids), pidList(pids))
	})

	leave()
	return pids
}
