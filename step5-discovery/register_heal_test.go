// Tests of the registration that nobody tells the registrar about: its znode is
// taken away, or was made by way of a member of ZooKeeper that it has left.

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

func TestRegistrarHeals(t *testing.T) {
	zookeeper := zktest.Start(t)
	conn := dial(t, zookeeper)
	// begin is beginRegistrar for one that is registered.
	begin := func(t *testing.T) (*zktest.Registry, *zktest.Gate, *Registrar, zktest.Node) {
		registry, gate, r := beginRegistrar(t, zookeeper, time.Minute)
		r.SetServing(true)
		return registry, gate, r, registry.WaitOne(soon, hereAddr)
	}

	t.Run("a znode that is deleted comes back, once, and the log says so", func(t *testing.T) {
		failures := recordFailures(t)
		registry, gate, r, node := begin(t)
		for range 2 {
			registry.Remove(node)
			gone := node
			node = registry.WaitOne(soon, hereAddr, gone)
			failures.mu.Lock()
			last := failures.warnings[len(failures.warnings)-1]
			failures.mu.Unlock()
			assert.Contains(t, last, registry.Root+"/"+gone.Name)
		}

		waitRegistered(t, zookeeper, r)
		registry.Want(node)
		require.Len(t, gate.Sessions(), 1)
		harness.Eventually(t, soon, "one watch", func() (bool, string) {
			n := watches(t, zookeeper, r)
			return n == 1, fmt.Sprint(n)
		})

		r.SetServing(false)
		registry.WaitNone(soon)
		require.Zero(t, watches(t, zookeeper, r))
	})

	t.Run("so it does when its root goes with it, and numbers begin anew", func(t *testing.T) {
		failures := recordFailures(t)
		registry, _, r, node := begin(t)
		for range 2 {
			waitRegistered(t, zookeeper, r)
			registry.Remove(node)
			require.NoError(t, conn.Delete(registry.Root, -1))
			again := registry.Wait(soon, "it again", func(nodes []zktest.Node) bool { return len(nodes) == 1 })
			require.Equal(t, node, again[0], "the same number")
		}
		failures.mu.Lock()
		assert.Len(t, failures.warnings, 2, "the same trouble, but all was well in between")
		failures.mu.Unlock()

		registry.Remove(node)
		require.NoError(t, conn.Delete(registry.Root, -1))
		other := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8081}`, true) // faster, with another name
		nodes := registry.Wait(soon, "both", func(nodes []zktest.Node) bool { return len(nodes) == 2 })
		require.Contains(t, nodes, other)
		require.Len(t, slices.DeleteFunc(nodes, func(n zktest.Node) bool { return n.Addr() != hereAddr }), 1)
		waitRegistered(t, zookeeper, r)
	})

	for _, data := range []string{`{"host":"127.0.0.1","port":8081}`, `{"host":"127.0.0.1","port":8080}`} {
		t.Run("another server's znode may have the old name: it is left alone, "+data, func(t *testing.T) {
			registry, gate, r, node := begin(t)
			gate.Refuse()
			gate.Reset()
			waitNoSession(t, r.session)
			registry.Remove(node)
			other := registry.Plant(node.Name, data, true)
			require.NoError(t, gate.Heal())
			nodes := registry.Wait(soon, "both", func(nodes []zktest.Node) bool { return len(nodes) == 2 })
			require.Equal(t, other, nodes[0])
			require.Equal(t, hereAddr, nodes[1].Addr())
		})
	}

	t.Run("deleted while there is no connection: it comes back with that", func(t *testing.T) {
		registry, gate, r, node := begin(t)
		gate.Refuse()
		gate.Reset()
		waitNoSession(t, r.session)
		registry.Remove(node)
		require.NoError(t, gate.Heal())
		node = registry.WaitOne(soon, hereAddr, node)
		require.Len(t, gate.Sessions(), 1)
		registry.Remove(node)
		registry.WaitOne(soon, hereAddr, node)
	})

	t.Run("one that is changed is replaced: clients read a name only once", func(t *testing.T) {
		registry, _, _, node := begin(t)
		_, err := conn.Set(registry.Root+"/"+node.Name, []byte("gibberish"), -1)
		require.NoError(t, err)
		registry.WaitOne(soon, hereAddr, zktest.Node{Name: node.Name, Data: "gibberish", Session: node.Session}, node)
	})

	t.Run("against somebody who deletes again and again it doesn't race", func(t *testing.T) {
		registry, _, r, _ := begin(t)
		deleted := 0
		for began := time.Now(); time.Since(began) < 3*time.Second; {
			names, _, changed, err := conn.ChildrenW(registry.Root)
			require.NoError(t, err)
			for _, name := range names {
				require.NoError(t, conn.Delete(registry.Root+"/"+name, -1))
				deleted++
			}
			select {
			case <-changed:
			case <-time.After(time.Second):
			}
		}

		assert.GreaterOrEqual(t, deleted, 2)
		assert.LessOrEqual(t, deleted, 8, "pauses of at least 0.1, 0.2, 0.4, 0.8 and 1.5 s")
		registry.WaitOne(soon, hereAddr)
		harness.Eventually(t, soon, "one watch", func() (bool, string) {
			n := watches(t, zookeeper, r)
			return n == 1, fmt.Sprint(n)
		})
	})
}

// A create may be on its way through one member of ZooKeeper while the session
// has moved to another, which doesn't know of it yet.
func TestRegistrarMovesToAnotherMember(t *testing.T) {
	ensemble := zktest.StartLinkedEnsemble(t)
	leader := ensemble.Leader(t, soon)
	followers := ensemble.Others(leader)
	registry := zktest.NewRegistry(t, leader, "/moves")
	note := registry.Plant("note", "", false)
	first, second := zktest.NewGate(t, followers[0]), zktest.NewGate(t, followers[1])
	second.Refuse()
	r := newRegistrar(t, first.Addr()+","+second.Addr(), registry.Root, 30*time.Second, here)
	id := waitSession(t, r.session, soon)
	require.NoError(t, second.Heal())

	const delay = 250 * time.Millisecond
	for _, l := range ensemble.Links {
		l.Delay(delay)
		l.OnRequest(`"port":8080`, func() { first.Refuse(); first.Reset() })
	}
	r.SetServing(true)
	waitRegistered(t, followers[1], r)
	require.Equal(t, id, r.session.Conn().SessionID(), "it has moved, and was not lost")
	require.NotEmpty(t, second.Conns())
	for _, l := range ensemble.Links {
		l.Delay(0)
	}
	registry.Want(note,
		zktest.Node{Name: strings.TrimPrefix(r.node, registry.Root+"/"), Data: string(r.data), Session: id})
}
