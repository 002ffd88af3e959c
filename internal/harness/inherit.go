// What a program's processes have of each other: the ends of pipes and sockets
// that they hold.

package harness

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An End is one end of a pipe, or a socket, as a descriptor of a process. The
// two ends of a pipe have one target; those of a socket pair have one each.
type End struct {
	PID, FD int
	Target  string // such as "pipe:[4711]"
	Writes  bool   // it is for writing
	Reads   bool   // it is for reading; both for a socket
}

// IsPipe tells whether it is an end of a pipe.
func (e End) IsPipe() bool { return strings.HasPrefix(e.Target, "pipe:") }

// IsOther tells whether e and f are the two ends of one pipe. A descriptor for
// reading and writing is both ends.
func (e End) IsOther(f End) bool {
	return e.IsPipe() && e.Target == f.Target && (e.Reads && f.Writes || e.Writes && f.Reads)
}

func (e End) String() string {
	switch {
	case !e.IsPipe():
		return fmt.Sprintf("descriptor %d of process %d, %s", e.FD, e.PID, e.Target)
	case e.Reads && e.Writes:
		return fmt.Sprintf("descriptor %d of process %d, both ends of %s", e.FD, e.PID, e.Target)
	case e.Reads:
		return fmt.Sprintf("descriptor %d of process %d, the reading end of %s", e.FD, e.PID, e.Target)
	}
	return fmt.Sprintf("descriptor %d of process %d, the writing end of %s", e.FD, e.PID, e.Target)
}

// Ends returns the ends of pipes and the sockets that the server's processes
// hold: not the listening socket, which is theirs to share, nor what this test
// process gave them, nor what the master has as standard input, output and
// error. They come by process, and by descriptor. It needs /proc: without, it
// skips the test.
func (s *Server) Ends(t testing.TB) []End {
	t.Helper()
	shared := s.listeners(t)
	for _, target := range Descriptors(t, os.Getpid()) {
		shared[target] = true
	}
	for fd, target := range Descriptors(t, s.PID) {
		if fd < 3 {
			shared[target] = true
		}
	}

	var ends []End
	for _, pid := range s.Processes(t) {
		held := Descriptors(t, pid)
		for _, fd := range slices.Sorted(maps.Keys(held)) {
			target := held[fd]
			isEnd := strings.HasPrefix(target, "pipe:") || strings.HasPrefix(target, "socket:")
			if !isEnd || shared[target] {
				continue
			}
			// The permissions of this link are what the descriptor is for.
			info, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
			if err != nil {
				continue // closed since
			}
			mode := info.Mode()
			ends = append(ends, End{pid, fd, target, mode&0o200 != 0, mode&0o400 != 0})
		}
	}
	return ends
}

// listeners returns the sockets that listen on the server's port, as the
// targets of descriptors.
func (s *Server) listeners(t testing.TB) map[string]bool {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(port)
	all := map[string]bool{}
	for row := range socketRows(t) {
		if row.state == listening && row.local == n {
			all["socket:["+row.inode+"]"] = true
		}
	}
	return all
}
