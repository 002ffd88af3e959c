// The fault matrix: an ensemble of three ZooKeepers loses the one that leads.
// The other two elect another, with all sessions, and nobody needs to care.

//go:build unix

package system

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

func TestFaultEnsembleLosesItsLeader(t *testing.T) {
	t.Parallel()
	ensemble := zktest.StartEnsemble(t)
	leader := ensemble.Leader(t, patience)
	others := ensemble.Others(leader)
	r := newZKRow(t, others[0])
	start := func() *harness.Server { return r.server(ensemble.Addrs(), zkLong) }
	servers := []*harness.Server{start(), start(), start()}
	nodes := r.registered(servers)

	// Who connects to which member is left to chance: go on until the leader
	// has a client.
	var clients []*zkView
	for before := sessionsAt(leader); sessionsAt(leader) == before; {
		require.Less(t, len(clients), 50, "clients, none of which is connected to the leader")
		clients = append(clients, r.client(ensemble.Addrs(), zkLong, servers...))
	}
	calls := clients[len(clients)-1].call()
	for _, s := range servers {
		calls.wait(s, 20)
	}

	leader.Kill()
	for _, s := range servers {
		calls.wait(s, 20)
	}
	assert.NotEqual(t, leader.Addr(), ensemble.Leader(t, patience).Addr(), "who leads")
	late := start()
	all := append(servers, late)
	now := r.registered(all)
	assert.Subset(t, now, nodes, "sessions and nodes outlive the leader")
	for _, client := range clients {
		client.lists(false, zkAddrs(all)...)
		client.alwaysListed(servers...)
	}
	harness.Eventually(t, patience, "every server connected to a member that is left", func() (bool, string) {
		left := connections(others[0]) + connections(others[1])
		return !slices.ContainsFunc(now, func(n zktest.Node) bool {
			return !strings.Contains(left, fmt.Sprintf("sid=%#x,", n.Session))
		}), left
	})
	calls.wait(late, 20)
	calls.end()
}

// A session can move to a member that doesn't know yet what was done through
// the one before.
func TestFaultMoveToAMemberThatLags(t *testing.T) {
	t.Parallel()
	ensemble := zktest.StartLinkedEnsemble(t)
	leader := ensemble.Leader(t, patience)
	followers := ensemble.Others(leader)
	r := newZKRow(t, leader)
	first, second := zktest.NewGate(t, followers[0]), zktest.NewGate(t, followers[1])
	second.Refuse()
	r.registry.MakeRoot() // or the first try would be in vain

	for _, l := range ensemble.Links {
		l.OnRequest(r.registry.Root+"/rpc", func() { // the first member passes the create on to the leader
			for _, l := range ensemble.Links {
				l.Delay(250 * time.Millisecond)
			}
			assert.NoError(t, second.Heal())
			first.Refuse()
			first.Reset()
		})
	}

	s := r.server(first.Addr()+","+second.Addr(), zkLong)
	r.said(s, 1, zkRegistered)
	for _, l := range ensemble.Links {
		l.Delay(0)
	}

	require.NotZero(t, second.Conns(), "its session has moved")
	nodes := r.registry.Now()
	require.Len(t, nodes, 1, "%v", nodes)
	r.settles(s, nodes[0])
}

// A member that accepts connections and says nothing must not be waited for
// as long as a session may last.
func TestFaultMemberThatHangs(t *testing.T) {
	t.Parallel()
	const session = 40 * time.Second
	r := newZKRow(t, sharedZooKeeper(t))
	hung := r.gate()
	hung.Partition(netproxy.Both)
	addrs := strings.Join([]string{hung.Addr(), r.zookeeper.Addr(), hung.Addr()}, ",")

	began := time.Now()
	var servers []*harness.Server
	for range 3 { // whom they ask first is left to chance
		servers = append(servers, r.server(addrs, session))
	}

	r.registered(servers)
	r.client(addrs, session, servers...)
	assert.Less(t, time.Since(began), session/2)
}

// connections returns a member's list of its connections, or why there is none.
func connections(member *zkdev.Server) string {
	answer, err := member.FourLetter("cons")
	if err != nil {
		return err.Error()
	}
	return answer
}

// sessionsAt counts the sessions whose client is connected to this member.
func sessionsAt(member *zkdev.Server) int {
	return len(regexp.MustCompile(`sid=0x[1-9a-f]`).FindAllString(connections(member), -1))
}
