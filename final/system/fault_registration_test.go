// The fault matrix: registration. Whatever is lost between a server and
// ZooKeeper, in the end there is one node for it, in a session of its own, and
// none when it has stopped.

//go:build unix

package system

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zktest"
)

// zkRegistered matches what a server logs when it is registered.
const zkRegistered = "INFO registered"

func TestFaultSessionExpiry(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	serverGate, clientGate := r.gate(), r.gate()
	a, b := r.server(serverGate.Addr(), zkLong), r.server(r.zookeeper.Addr(), zkLong)
	nodes := r.registered([]*harness.Server{a, b})
	client := r.client(clientGate.Addr(), zkLong, a, b)
	calls := client.call()

	// The server's: registered again, once, in a new session.
	for _, node := range nodes {
		if node.Addr() == a.Addr {
			require.NoError(t, serverGate.Expire())
			r.registered([]*harness.Server{a, b}, node)
		}
	}
	client.lists(false, a.Addr, b.Addr)
	calls.wait(a, 20)

	// The client's: it still learns of a new server.
	require.NoError(t, clientGate.Expire())
	c := r.server(r.zookeeper.Addr(), zkLong)
	client.lists(false, a.Addr, b.Addr, c.Addr)
	calls.wait(c, 20)
	client.alwaysListed(b)
	calls.end()
}

// onCreate has do called when a server is about to create its node: ZooKeeper
// doesn't get the request before.
func (r zkRow) onCreate(gate *zktest.Gate, do func()) {
	r.t.Helper()
	r.registry.MakeRoot() // or the first try would be in vain
	gate.OnRequest(r.registry.Root+"/rpc", do)
}

// loseReply starts a server whose create is carried out without its knowing,
// and returns its node.
func (r zkRow) loseReply(gate *zktest.Gate, session time.Duration) (*harness.Server, zktest.Node) {
	r.t.Helper()
	r.onCreate(gate, gate.DropReplies)
	s := r.server(gate.Addr(), session)
	return s, r.registry.WaitOne(patience, s.Addr)
}

// settles expects that this node is the server's only one, once it is
// registered as far as it knows, and that it goes when the server stops.
func (r zkRow) settles(s *harness.Server, node zktest.Node) {
	r.t.Helper()
	r.said(s, 1, zkRegistered)
	r.registry.Want(node)
	assert.Equal(r.t, "pong", s.Call(r.t, "ping", 1).Kind)
	r.stop(s, patience)
	r.registry.Want()
}

func TestFaultCreateReplyLost(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	gate := r.gate()
	s, node := r.loseReply(gate, zkLong)
	require.NoError(t, gate.Heal()) // it cuts the connection that has lost something
	r.settles(s, node)
}

func TestFaultCreateReplyLostThenRefused(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	gate := r.gate()
	s, node := r.loseReply(gate, zkLong)
	gate.Refuse()
	gate.Reset()
	// Longer than a second: some clients give up by then, and leave the node.
	time.Sleep(1300 * time.Millisecond)
	require.NoError(t, gate.Heal())
	r.settles(s, node)
}

// A request may have no answer for longer than a server waits, on a connection
// that is fine otherwise, when ZooKeeper insists on a longer session timeout
// than the server asked for. Who sends one create after the other has them all
// carried out in the end.
func TestFaultTwoCreatesDuringAStall(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, zktest.Start(t, "minSessionTimeout=15000"))
	gate := r.gate()
	r.onCreate(gate, func() { gate.Partition(netproxy.ToServer) }) // it arrives later
	s := r.server(gate.Addr(), time.Second)
	r.said(s, 2, "no answer from ZooKeeper")
	require.NoError(t, gate.Heal())
	r.said(s, 1, zkRegistered)
	nodes := r.registry.Now()
	require.Len(t, nodes, 1, "%v", nodes)
	r.settles(s, nodes[0])
}

// A server that was killed is still registered for a while, at the address of
// the one that was started in its place. That node is another session's: the
// new server needs its own.
func TestFaultOldNodeLingers(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	gate := r.gate()
	s := r.server(gate.Addr(), zkLong)
	old := r.registry.WaitOne(patience, s.Addr)

	s.Kill()
	r.onCreate(gate, gate.Reset) // it is lost on the way, and the server looks whether it was
	s = s.Restart(t)
	nodes := r.registry.Wait(patience, "a second node", func(nodes []zktest.Node) bool { return len(nodes) == 2 })

	r.said(s, 1, zkRegistered)
	r.registry.Want(nodes...)
	r.registry.Remove(old) // as ZooKeeper does at the end of its session
	r.settles(s, nodes[1])
}

// A session that the server has given up lives on in ZooKeeper, and a node in
// it of which the server never heard: it is taken away at once, not only when
// that session ends.
func TestFaultNodeOfASessionGivenUp(t *testing.T) {
	t.Parallel()
	const session = 4 * time.Second
	r := newZKRow(t, zktest.Start(t))
	gate := r.gate()
	s, old := r.loseReply(gate, session)

	r.zookeeper.Kill() // its clock stands still, and sessions stay
	r.said(s, 1, "starting anew")
	require.NoError(t, gate.Heal())
	require.NoError(t, r.zookeeper.Restart())
	r.said(s, 1, zkRegistered)

	nodes := r.registry.Now()
	require.Len(t, nodes, 1, "%v", nodes)
	require.NotEqual(t, old, nodes[0])
	r.settles(s, nodes[0])
}

// Somebody deletes a server's node, or the root with all that is below it. No
// request fails, no session ends, and only who looks sees it.
func TestFaultRegistrationDeleted(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	a, b := r.server(r.zookeeper.Addr(), zkLong), r.server(r.zookeeper.Addr(), zkLong)
	servers := []*harness.Server{a, b}
	nodes := r.registered(servers)
	client := r.client(r.zookeeper.Addr(), zkLong, a, b)
	calls := client.call()
	for range 2 {
		node := nodes[slices.IndexFunc(nodes, func(n zktest.Node) bool { return n.Addr() == a.Addr })]
		r.registry.Remove(node)
		r.said(a, 1, `WARN not registered.*`+r.registry.Root+"/"+node.Name)
		nodes = r.registered(servers, node)
		client.lists(false, a.Addr, b.Addr)
		calls.wait(a, 20)
	}
	calls.end()
	client.alwaysListed(b)

	r.registry.RemoveRoot(patience) // for a moment there is no server
	r.registered(servers)
	client.lists(false, a.Addr, b.Addr)
	for _, s := range servers {
		r.stop(s, patience)
	}
	r.registry.Want()
}
