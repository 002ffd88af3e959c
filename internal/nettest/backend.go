//go:build linux

package nettest

import (
	"testing"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/netlab"
)

// A Backend is one kind of registry, with the server that registers there.
type Backend struct {
	Name  string // "ZooKeeper"
	Entry string // what a registration is called: "znode"

	// Start runs a registry of three members, one on each host, until the end
	// of the test. If SlowDisks, they wait for their disks before they answer,
	// and have a method SlowDisk(delay time.Duration) (heal func(), err error)
	// that has each write take longer by delay until heal is called.
	Start     func(t *testing.T, hosts [3]*netlab.Host) []Member
	SlowDisks bool
	// Look returns a function that looks, from that host, what is registered
	// under root, and must not miss what has been there for a moment. It is
	// called on one goroutine, and gives up after two seconds.
	Look func(t *testing.T, from *netlab.Host, members []Member, root string) func() (addrs []string, err error)

	// Server is the directory of the server's program, relative to the test's
	// package, and Flags are those by which it finds the registry, "host:port"
	// joined by commas.
	Server string
	Flags  func(registry, root string, session time.Duration) []string
	// Discover returns a client's view of the registry. It is called in the
	// clients' processes.
	Discover func(registry, root string, session time.Duration) (rpc.Discovery, error)
}

// A Member is one server of a registry.
type Member interface {
	Addr() string   // "host:port", the same for its life
	Kill()          // by SIGKILL; the data stays
	Restart() error // on its data; returns when it serves
}
