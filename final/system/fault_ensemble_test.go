// The fault matrix: an ensemble of three ZooKeepers loses the one that leads.
// The other two elect another, with all sessions, and nobody needs to care.

//go:build unix

package system

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
)

func TestFaultEnsembleLosesItsLeader(t *testing.T) {
	t.Parallel()
	ensemble := zkdev.StartEnsembleT(t)
	leader, followers := ensemble.Leader(t, patience)
	require.Len(t, followers, 2)
	r := newZKRow(t, followers[0])
	// Each knows the members in another order, so that not all are connected
	// to the same one.
	var servers []*harness.Server
	for _, first := range ensemble.Members {
		servers = append(servers, r.server(ensemble.Addrs(first), zkLong))
	}
	nodes := r.registered(servers)
	var clients []*zkView
	var calls []*callers
	for _, first := range ensemble.Members {
		client := r.client(ensemble.Addrs(first), zkLong, servers...)
		clients, calls = append(clients, client), append(calls, client.call())
	}

	leader.Kill()
	for _, s := range servers {
		calls[0].wait(s, 20)
	}
	next, _ := ensemble.Leader(t, patience)
	assert.NotEqual(t, leader.Addr(), next.Addr(), "who leads")
	late := r.server(ensemble.Addrs(), zkLong)
	now := r.registered(append(servers, late))
	assert.Subset(t, now, nodes, "sessions and nodes outlive the leader")
	for i, client := range clients {
		client.lists(false, zkAddrs(append(servers, late))...)
		calls[i].wait(late, 20)
		client.alwaysListed(servers...)
		calls[i].end()
	}
}
