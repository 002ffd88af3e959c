// Package discoverytest holds a registry, such as ZooKeeper or etcd, to what
// the server and the client of package rpc count on: one suite for every back
// end, on real servers, in good days and in bad ones. This file says what a
// back end has to bring; suite.go and faults.go have the tests.
package discoverytest

import (
	"testing"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/netproxy"
)

// Session is the session timeout, or the time to live, that the suite asks for
// where it waits for the end of one.
const Session = 2 * time.Second

// A Backend is one kind of registry.
type Backend struct {
	// Start runs a registry of the test's own, empty, until the end of the
	// test.
	Start func(t testing.TB) Store
	// StartThree runs one that is made of three members and goes on without
	// one.
	StartThree func(t testing.TB) []Store
	// Register and Discover are what is tested. addr is where to find the
	// registry, or several members of it, joined by commas.
	Register func(t testing.TB, addr, root string, session time.Duration, endpoint rpc.Endpoint) rpc.Registration
	Discover func(t testing.TB, addr, root string, session time.Duration) rpc.Discovery
	// Link makes a way to s, until the end of the test.
	Link func(t testing.TB, s Store) Link
}

// A Store is one server of a registry. Its methods are called by one goroutine
// at a time.
type Store interface {
	Addr() string   // "127.0.0.1:port", the same for its life
	Kill()          // by SIGKILL; the data stays
	Restart() error // on its data; returns when it serves
	Wipe() error    // the same without the data
	Pause()         // by SIGSTOP
	Resume()
	Leads() bool // the other members; not to be asked while it is paused

	// Entries returns what is registered under root, in the order of names,
	// past the code under test.
	Entries(t testing.TB, root string) ([]Entry, error)
	// Plant registers these data under root, in nobody's session.
	Plant(t testing.TB, root, name, data string)
	// Remove takes away what is registered under that name.
	Remove(t testing.TB, root, name string)
	// Clear takes away all that is registered under root, and the root.
	Clear(t testing.TB, root string)
}

// An Entry is one registration.
type Entry struct {
	Name string // below the root
	Data string // as it is
}

// A Link is a way to a Store that can break.
type Link struct {
	*netproxy.Proxy
	// Expire ends the sessions or leases of what is registered through it under
	// root, as if their time were over.
	Expire func(root string) error
}
