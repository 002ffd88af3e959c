// The fault matrix: the client's list. Whatever stands between a client and
// ZooKeeper, calls go on with the servers known last, and in the end the list
// is ZooKeeper's.

//go:build unix

package system

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zktest"
)

func TestFaultBurstBehindASlowLink(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	stays, leaves := r.server(r.zookeeper.Addr(), zkLong), r.server(r.zookeeper.Addr(), zkLong)
	r.registered([]*harness.Server{stays, leaves})
	gate := r.gate()
	client := r.client(gate.Addr(), zkLong, stays, leaves)
	calls := client.call()
	calls.wait(leaves, 20)
	gate.Bandwidth(20_000)
	gate.Delay(5 * time.Millisecond)

	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var crowd []zktest.Node
	for round := range 4 {
		for i := range 40 {
			switch {
			case len(crowd) < 10 || random.IntN(3) > 0:
				crowd = append(crowd, r.registry.Plant("crowd-", deadEndpoint(t), false))
			default:
				one := random.IntN(len(crowd))
				r.registry.Remove(crowd[one])
				crowd = slices.Delete(crowd, one, one+1)
			}

			switch {
			case round == 1 && i == 20: // the link breaks, too
				gate.Reset()
			case round == 2 && i == 20:
				r.stop(leaves, patience)
			}
		}

		var addrs []string
		for _, node := range r.registry.Now() {
			addrs = append(addrs, node.Addr())
		}
		client.lists(false, addrs...)
	}

	client.alwaysListed(stays)
	joins := leaves.Restart(t)
	calls.wait(joins, 20)
	calls.end()
}

// deadEndpoint returns the data of a server at an address where nobody listens
// until the end of the test.
func deadEndpoint(t *testing.T) string {
	t.Helper()
	port, release, err := freeport.Reserve()
	require.NoError(t, err)
	t.Cleanup(release)
	return fmt.Sprintf(`{"host":"127.0.0.1","port":%d}`, port)
}

func TestFaultBlackHoleLongerThanTheSession(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	serverGate, clientGate := r.gate(), r.gate()
	a, b := r.server(serverGate.Addr(), 2*time.Second), r.server(serverGate.Addr(), 2*time.Second)
	nodes := r.registered([]*harness.Server{a, b})
	client := r.client(clientGate.Addr(), 4*time.Second, a, b)
	calls := client.call()
	serverGate.Partition(netproxy.Both)
	clientGate.Partition(netproxy.Both)
	client.lists(true, a.Addr, b.Addr)
	r.registered(nil)
	r.sessionOver(clientGate.Latest())
	calls.wait(a, 50)
	calls.wait(b, 50)

	require.NoError(t, serverGate.Heal())
	r.registered([]*harness.Server{a, b}, nodes...)
	require.NoError(t, clientGate.Heal())
	client.lists(false, a.Addr, b.Addr)
	client.neverEmpty()
	c := r.server(serverGate.Addr(), 2*time.Second)
	client.lists(false, a.Addr, b.Addr, c.Addr)
	calls.wait(c, 20)
	calls.end()
}

func TestFaultFastRestart(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	start := func() *harness.Server { return r.server(r.zookeeper.Addr(), zkLong) }
	stays, restarts := start(), start()
	nodes := r.registered([]*harness.Server{stays, restarts})
	client := r.client(r.zookeeper.Addr(), zkLong, stays, restarts)
	calls := client.call()
	calls.wait(restarts, 20)
	connected := func() []int { return harness.ConnectedTo(t, restarts.Addr) }
	first := connected()
	require.Len(t, first, 1, "calls share a connection")

	restarts.Kill()
	restarts = restarts.Restart(t)
	r.registry.Wait(patience, "two nodes of one address, and one other", func(nodes []zktest.Node) bool {
		return len(nodes) == 3
	})
	calls.wait(restarts, 20)
	second := connected()
	require.Len(t, second, 1)
	require.NotEqual(t, first, second)

	old := slices.IndexFunc(nodes, func(n zktest.Node) bool { return n.Addr() == restarts.Addr })
	r.registry.Remove(nodes[old]) // as ZooKeeper does at the end of its session
	later := start()
	client.lists(false, stays.Addr, restarts.Addr, later.Addr) // by now the client knows both
	calls.wait(restarts, 20)
	calls.wait(later, 20)
	assert.Equal(t, second, connected(), "the connection to a server whose old node went")
	client.alwaysListed(stays, restarts)
	calls.end()
}

// When a client has been away it may find no server at all, because all of
// them were away as well and are not back yet. It waits with believing that.
func TestFaultEmptyListAfterAReconnect(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	serverGate, clientGate := r.gate(), r.gate()
	a, b := r.server(serverGate.Addr(), 2*time.Second), r.server(serverGate.Addr(), 2*time.Second)
	r.registered([]*harness.Server{a, b})
	client := r.client(clientGate.Addr(), zkLong, a, b)
	calls := client.call()

	clientGate.Refuse()
	clientGate.Reset()
	client.lists(true, a.Addr, b.Addr)
	serverGate.Partition(netproxy.Both)
	r.registered(nil)
	require.NoError(t, clientGate.Heal())
	r.listedIn(clientGate.Latest())
	calls.wait(a, 50)
	calls.wait(b, 50)
	client.lists(true, a.Addr, b.Addr)

	require.NoError(t, serverGate.Heal())
	client.lists(false, a.Addr, b.Addr)
	client.neverEmpty()
	calls.end()
}

// listedIn waits until ZooKeeper has answered a list on the present connection
// of a session that does nothing but list.
func (r zkRow) listedIn(session int64) {
	r.t.Helper()
	name := fmt.Sprintf("sid=%#x,", session)
	harness.Eventually(r.t, patience, "a list for the client with "+name, func() (bool, string) {
		answer, err := r.zookeeper.FourLetter("cons")
		for line := range strings.Lines(answer) {
			// The last operation: a list, or what comes when there is nothing
			// to do.
			if strings.Contains(line, name) &&
				(strings.Contains(line, "lop=GETC") || strings.Contains(line, "lop=PING")) {
				return true, ""
			}
		}
		return false, fmt.Sprint(answer, err)
	})
}
