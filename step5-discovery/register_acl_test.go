// Tests of the registration where ZooKeeper's ACLs say who may do what: a root
// that is closed, a znode that is hidden, and znodes with an ACL of their own.

package main

import (
	"fmt"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

// dial returns a connection to ZooKeeper that has nothing to do with the code
// under test.
func dial(t *testing.T, zookeeper *zkdev.Server) *zk.Conn {
	t.Helper()
	conn, _, err := zk.Connect([]string{zookeeper.Addr(), zookeeper.Addr()}, soon,
		zk.WithLogger(log.New(io.Discard, "", 0)))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func TestRegistrarAndACLs(t *testing.T) {
	zookeeper := zktest.Start(t)
	conn := dial(t, zookeeper)
	const everyoneReads = zk.PermRead | zk.PermAdmin

	t.Run("at a closed root it says that it isn't allowed, once, and tries until it is", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/closed")
		_, err := conn.Create(registry.Root, nil, 0, zk.WorldACL(everyoneReads))
		require.NoError(t, err)

		failures := recordFailures(t)
		r := newRegistrar(t, zookeeper.Addr(), registry.Root, time.Minute, here)
		waitSession(t, r.session, soon)
		r.SetServing(true)
		harness.Eventually(t, soon, "four tries", func() (bool, string) {
			tries := failures.of("not allowed")
			return len(tries) >= 4, fmt.Sprint(tries)
		})

		_, err = conn.SetACL(registry.Root, zk.WorldACL(zk.PermAll), -1)
		require.NoError(t, err)
		registry.WaitOne(soon, hereAddr)

		failures.mu.Lock()
		defer failures.mu.Unlock()
		require.Len(t, failures.warnings, 1)
		require.Contains(t, failures.warnings[0], registry.Root)
		require.Contains(t, failures.warnings[0], "credentials")
	})

	t.Run("so it does where it isn't allowed to make the root", func(t *testing.T) {
		_, err := conn.Create("/parent", nil, 0, zk.WorldACL(everyoneReads))
		require.NoError(t, err)
		r := registrarInDoubt(t, zookeeper, "/parent/root")
		require.ErrorIs(t, r.reconcile(), zk.ErrNoAuth)
		require.False(t, r.doubt)
	})

	t.Run("a withdrawal that is refused, or not even sent, leaves no doubt: the znode is there", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/locked")
		r := registrarInDoubt(t, zookeeper, registry.Root)
		require.NoError(t, r.reconcile())
		node := registry.WaitOne(soon, hereAddr)
		r.wanted.Store(false)

		_, err := conn.SetACL(registry.Root, zk.WorldACL(everyoneReads), -1)
		require.NoError(t, err)
		require.ErrorIs(t, r.reconcile(), zk.ErrNoAuth)
		require.Equal(t, registry.Root+"/"+node.Name, r.node)
		require.False(t, r.doubt)

		r.session.Prepare = func(*zk.Conn) error { return assert.AnError }
		require.ErrorIs(t, r.reconcile(), assert.AnError)
		require.Equal(t, registry.Root+"/"+node.Name, r.node)
		require.False(t, r.doubt)

		r.session.Prepare = func(*zk.Conn) error { return nil }
		_, err = conn.SetACL(registry.Root, zk.WorldACL(zk.PermAll), -1)
		require.NoError(t, err)
		require.NoError(t, r.reconcile())
		require.Empty(t, r.node)
		registry.WaitNone(0)
	})

	t.Run("in doubt, a znode that is hidden is not ours", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/hidden")
		note := registry.Plant("note", "", true)
		_, err := conn.Create(registry.Root+"/rpc-hidden", nil, 0, zk.WorldACL(zk.PermAdmin))
		require.NoError(t, err)

		r := registrarInDoubt(t, zookeeper, registry.Root)
		require.NoError(t, r.reconcile())
		require.False(t, r.doubt)
		require.NotEmpty(t, r.node)

		require.NoError(t, conn.Delete(registry.Root+"/rpc-hidden", -1))
		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 2)
		require.Equal(t, note, nodes[0])
	})

	t.Run("each znode that it creates gets the ACL that it is told", func(t *testing.T) {
		r := registrarInDoubt(t, zookeeper, "/acl/of/all")
		perms := map[string]int32{
			"/acl": zk.PermAll, "/acl/of": zk.PermRead | zk.PermCreate,
			"/acl/of/all": zk.PermRead | zk.PermCreate | zk.PermDelete, "/acl/of/all/rpc": zk.PermRead,
		}
		r.ACL = func(path string) []zk.ACL { return zk.WorldACL(perms[path]) }

		require.NoError(t, r.reconcile())
		require.True(t, strings.HasPrefix(r.node, "/acl/of/all/rpc"))
		perms[r.node] = perms["/acl/of/all/rpc"]
		delete(perms, "/acl/of/all/rpc")

		for path, want := range perms {
			acl, _, err := conn.GetACL(path)
			require.NoError(t, err)
			require.Equal(t, zk.WorldACL(want), acl, path)
		}
	})
}
