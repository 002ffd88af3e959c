// Sockets: who has which connection, from /proc.

package play

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A socket is a TCP socket of this machine.
type socket struct {
	local, remote int // ports; remote is 0 for a listening one
	listens       bool
}

const (
	established = "01" // as /proc/net/tcp has a socket's state
	listening   = "0A"
)

// sockets returns all TCP sockets that listen or are connected, by inode.
func sockets() map[string]socket {
	all := map[string]socket{}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(name) // there may be no IPv6

		for line := range strings.Lines(string(text)) {
			// sl local remote st queues timer retrnsmt uid timeout inode …
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != established && fields[3] != listening {
				continue
			}
			all[fields[9]] = socket{port(fields[1]), port(fields[2]), fields[3] == listening}
		}
	}
	return all
}

// port is that of an address in hexadecimal, such as 0100007F:1F90.
func port(addr string) int {
	_, digits, _ := strings.Cut(addr, ":")
	n, _ := strconv.ParseInt(digits, 16, 32)
	return int(n)
}

// socketsOf returns the sockets among these that a process has open, each once.
// There are none if the process is gone or another user's.
func socketsOf(pid int, all map[string]socket) map[string]socket {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}

	mine := map[string]socket{}
	for _, entry := range entries {
		target, err := os.Readlink(dir + "/" + entry.Name())
		inode, ok := strings.CutPrefix(target, "socket:[")
		if err != nil || !ok {
			continue
		}
		inode = strings.TrimSuffix(inode, "]")
		if s, ok := all[inode]; ok {
			mine[inode] = s
		}
	}
	return mine
}
