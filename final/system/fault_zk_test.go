// The fault matrix, ZooKeeper's half: what its rows share. A row injects a
// fault between ZooKeeper and servers or a client, or into ZooKeeper itself,
// and asserts what final promises. It has a root of its own, so that rows can
// share a ZooKeeper that none of them harms, and run side by side.

//go:build unix

package system

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

// The ZooKeeper of all rows that don't stop it. It starts with the first one.
var sharedZK struct {
	sync.Mutex
	zookeeper *zkdev.Server
}

func sharedZooKeeper(t *testing.T) *zkdev.Server {
	t.Helper()
	sharedZK.Lock()
	defer sharedZK.Unlock()
	if sharedZK.zookeeper == nil {
		zookeeper, err := zkdev.Start(context.Background()) // it outlives this test
		if err != nil {
			t.Fatal(err)
		}
		sharedZK.zookeeper = zookeeper
	}
	return sharedZK.zookeeper
}

func stopSharedZooKeeper() {
	if sharedZK.zookeeper != nil {
		_ = sharedZK.zookeeper.Stop() // what can't be removed is in the temporary directory
	}
}

// zkLong is a session timeout that does not end in a row, however busy the
// machine is: for sessions that the fault is not about.
const zkLong = 30 * time.Second

// A zkRow is what one row of the matrix plays with.
type zkRow struct {
	t         *testing.T
	zookeeper *zkdev.Server
	registry  *zktest.Registry
}

func newZKRow(t *testing.T, zookeeper *zkdev.Server) zkRow {
	t.Helper()
	return zkRow{t, zookeeper, zktest.NewRegistry(t, zookeeper, "/"+t.Name()+"/servers")}
}

func (r zkRow) gate() *zktest.Gate {
	r.t.Helper()
	return zktest.NewGate(r.t, r.zookeeper)
}

// server starts a server that finds ZooKeeper on that address.
func (r zkRow) server(zk string, session time.Duration) *harness.Server {
	r.t.Helper()
	return startServer(r.t, harness.Options{Workers: 1, ZK: zk, Root: r.registry.Root, Session: session})
}

// stop ends a server with SIGTERM and expects a clean end, soon.
func (r zkRow) stop(s *harness.Server, within time.Duration) {
	r.t.Helper()
	s.Signal(syscall.SIGTERM)
	assert.Zero(r.t, s.Wait(within), "exit code of a stopped server")
}

// said waits until the server has logged what matches the expression n times.
func (r zkRow) said(s *harness.Server, n int, expression string) {
	r.t.Helper()
	matcher := regexp.MustCompile(expression)
	expected := fmt.Sprintf("%q in the log of %s, %d times", expression, s.Addr, n)
	harness.Eventually(r.t, patience, expected, func() (bool, string) {
		log := s.Stderr()
		return len(matcher.FindAllString(log, -1)) >= n, log
	})
}

// registered waits until these servers and no others are registered, each
// once, and not by one of the old nodes. It returns their nodes, in order.
func (r zkRow) registered(servers []*harness.Server, old ...zktest.Node) (nodes []zktest.Node) {
	r.t.Helper()
	want := zkAddrs(servers)
	expected := fmt.Sprintf("one node each of %v, and none of %v,", want, old)

	return r.registry.Wait(patience, expected, func(nodes []zktest.Node) bool {
		var got []string
		for _, node := range nodes {
			if slices.Contains(old, node) {
				return false
			}
			got = append(got, node.Addr())
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// sessionOver waits until ZooKeeper has ended the session.
func (r zkRow) sessionOver(id int64) {
	r.t.Helper()
	name := fmt.Sprintf("0x%x", id)
	harness.Eventually(r.t, patience, "the end of session "+name, func() (bool, string) {
		sessions, err := r.zookeeper.FourLetter("dump")
		return err == nil && !strings.Contains(sessions, name), sessions
	})
}

func zkAddrs(servers []*harness.Server) (addrs []string) {
	for _, s := range servers {
		addrs = append(addrs, s.Addr)
	}
	slices.Sort(addrs)
	return addrs
}

// A zkView is the library's client, and what it was told of the servers.
type zkView struct {
	*rpc.Client
	t     *testing.T
	first int // the snapshot with which the row began

	mu  sync.Mutex
	all []rpc.Snapshot
}

// zkRecorded is a Discovery that keeps what it says in the view.
type zkRecorded struct {
	rpc.Discovery
	view *zkView
}

func (r zkRecorded) Watch(ctx context.Context, publish func(rpc.Snapshot)) {
	r.Discovery.Watch(ctx, func(s rpc.Snapshot) {
		publish(s)
		r.view.mu.Lock()
		defer r.view.mu.Unlock()
		r.view.all = append(r.view.all, s)
	})
}

// client returns a client that finds ZooKeeper on that address, once it knows
// these servers.
func (r zkRow) client(zk string, session time.Duration, servers ...*harness.Server) *zkView {
	r.t.Helper()
	s, err := rpc.NewSession(zk, session)
	require.NoError(r.t, err)
	v := &zkView{t: r.t}
	v.Client = rpc.NewClient(zkRecorded{rpc.NewZKDiscovery(s, r.registry.Root), v})
	r.t.Cleanup(v.Close)
	v.lists(false, zkAddrs(servers)...)
	v.first = len(v.snapshots()) - 1
	return v
}

func (v *zkView) snapshots() []rpc.Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.all)
}

// lists waits until the client's list is this one, and stale or not.
func (v *zkView) lists(stale bool, addrs ...string) {
	v.t.Helper()
	slices.Sort(addrs)
	what := fmt.Sprintf("a list with stale = %v of %v", stale, addrs)
	harness.Eventually(v.t, 2*patience, what, func() (bool, string) {
		all := v.snapshots()
		if len(all) == 0 {
			return false, "no list yet"
		}
		last := all[len(all)-1]
		return last.Stale == stale && slices.Equal(last.Servers, addrs), fmt.Sprint(all)
	})
}

// alwaysListed expects that these servers were on every list since the row
// began: that no fault between ZooKeeper and a client took a server away that
// served all the time.
func (v *zkView) alwaysListed(servers ...*harness.Server) {
	v.t.Helper()
	all := v.snapshots()
	for _, snapshot := range all[v.first:] {
		for _, s := range servers {
			assert.Contains(v.t, snapshot.Servers, s.Addr, "servers on a list, of %v", all)
		}
	}
}

// neverEmpty expects that there was a server on every list since the row began.
func (v *zkView) neverEmpty() {
	v.t.Helper()
	all := v.snapshots()
	for _, snapshot := range all[v.first:] {
		assert.NotEmpty(v.t, snapshot.Servers, "servers on a list, of %v", all)
	}
}

// call starts a few callers, in no hurry.
func (v *zkView) call() *callers { return startPacedCallers(v.t, v.Client, 4, 2*time.Millisecond) }
