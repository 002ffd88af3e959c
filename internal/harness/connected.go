// Who is connected to a server, from the caller's side.

package harness

import (
	"net"
	"slices"
	"strconv"
	"testing"
)

// ConnectedTo returns the local ports of the connections that callers on this
// machine have to addr, sorted: a connection is the same as long as its port
// is. It needs /proc: without, it skips the test.
func ConnectedTo(t testing.TB, addr string) (ports []int) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}

	for ends, socket := range sockets(t) {
		if ends.remote == remote && socket.inode != "0" {
			ports = append(ports, ends.local)
		}
	}
	slices.Sort(ports)
	return ports
}
