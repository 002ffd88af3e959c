// What ends the following of changes, seen from inside.

package etcd

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	rpc "example.com/rpcworkbook/final"
)

func TestFollowingEndsWhereNothingCanBeFollowed(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	for range 5 {
		s.Plant(t, root, "a", endpoint("1"))
	}
	compact(t, s)
	begin := func() *Discovery {
		d := NewDiscovery(at(s.Addr()), root, time.Second)
		require.NoError(t, d.get(t.Context()))
		t.Cleanup(func() { d.client.Close() })
		return d
	}
	t.Run("compacted", func(t *testing.T) {
		d := begin()
		d.revision = 2
		require.ErrorIs(t, d.follow(t.Context(), func(rpc.Snapshot) {}), rpctypes.ErrCompacted)
	})
	t.Run("not yet reached, as after a loss of all data", func(t *testing.T) {
		d := begin()
		d.revision += 1000
		began := time.Now()
		require.ErrorIs(t, d.follow(t.Context(), func(rpc.Snapshot) {}), errSilent)
		assert.Less(t, time.Since(began), patience)
	})
	t.Run("gone back", func(t *testing.T) {
		d := begin()
		change := clientv3.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: d.revision - 1}}
		require.ErrorContains(t, d.apply(change), "gone back")
	})
}
