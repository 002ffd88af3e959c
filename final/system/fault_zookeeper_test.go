// The fault matrix: ZooKeeper itself, each row with one of its own to kill,
// wipe or stop. Calls need no ZooKeeper, and nothing waits for one without end.

//go:build unix

package system

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

func TestFaultZooKeeperKilled(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, zktest.Start(t))
	start := func() *harness.Server { return r.server(r.zookeeper.Addr(), zkLong) }
	a, b := start(), start()
	nodes := r.registered([]*harness.Server{a, b})
	client := r.client(r.zookeeper.Addr(), zkLong, a, b)
	calls := client.call()
	r.zookeeper.Kill()
	client.lists(true, a.Addr, b.Addr)
	c := start()
	calls.wait(a, 50)
	calls.wait(b, 50)

	require.NoError(t, r.zookeeper.Restart())
	now := r.registered([]*harness.Server{a, b, c})
	assert.Subset(t, now, nodes, "sessions and nodes outlive it")
	client.lists(false, a.Addr, b.Addr, c.Addr)
	calls.wait(c, 20)
	client.alwaysListed(a, b)
	calls.end()
}

func TestFaultZooKeeperWiped(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, zktest.Start(t))
	start := func() *harness.Server { return r.server(r.zookeeper.Addr(), 2*time.Second) }
	a, b := start(), start()
	nodes := r.registered([]*harness.Server{a, b})
	client := r.client(r.zookeeper.Addr(), 6*time.Second, a, b)
	calls := client.call()

	require.NoError(t, r.zookeeper.Wipe())
	r.registered([]*harness.Server{a, b}, nodes...)
	c := start()
	client.lists(false, a.Addr, b.Addr, c.Addr)

	calls.wait(a, 20)
	calls.wait(b, 20)
	calls.wait(c, 20)
	client.neverEmpty()
	calls.end()
}

func TestFaultZooKeeperStopped(t *testing.T) {
	t.Parallel()
	const bound = 10 * time.Second // for what must not wait for ZooKeeper
	r := newZKRow(t, zktest.Start(t))
	start := func() *harness.Server { return r.server(r.zookeeper.Addr(), 2*time.Second) }
	a, b, d := start(), start(), start()
	r.registered([]*harness.Server{a, b, d})
	client := r.client(r.zookeeper.Addr(), 6*time.Second, a, b, d)
	other := r.client(r.zookeeper.Addr(), 6*time.Second, a, b, d)
	calls := client.call()
	calls.wait(b, 20)
	r.zookeeper.Pause()
	defer r.zookeeper.Resume()

	r.stop(b, bound) // which has hardly noticed
	c := start()
	assert.Equal(t, "pong", c.Call(t, "ping", 1).Kind)
	calls.wait(a, 50)
	began := time.Now()
	other.Close()
	assert.Less(t, time.Since(began), bound, "how long a client takes to close")

	s, err := rpc.NewSession(r.zookeeper.Addr(), 6*time.Second)
	require.NoError(t, err)
	late := rpc.NewClient(rpc.NewZKDiscovery(s, r.registry.Root))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began = time.Now()
	assert.ErrorIs(t, late.Wait(ctx, 0), context.DeadlineExceeded, "a client that begins now knows no list")
	late.Close()
	assert.Less(t, time.Since(began), bound, "how long it takes to say so, and to close")
	client.lists(true, a.Addr, b.Addr, d.Addr)
	r.said(d, 1, "ZooKeeper connection lost")
	r.stop(d, bound)
	calls.wait(a, 50)

	r.zookeeper.Resume()
	r.registered([]*harness.Server{a, c})
	client.lists(false, a.Addr, c.Addr)
	calls.wait(a, 20)
	calls.wait(c, 20)
	client.neverEmpty()
	calls.end()
}
