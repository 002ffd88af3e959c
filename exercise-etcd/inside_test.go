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
	"example.com/rpcworkbook/internal/netproxy"
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

// An etcd that was wiped may be as far as we are when the connection is back,
// with another past.
func TestAWatchIsNotResumed(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	proxy := netproxy.StartT(t, s.Addr())
	d := NewDiscovery(at(proxy.Addr()), root, time.Minute)
	require.NoError(t, d.get(t.Context()))
	t.Cleanup(func() { d.client.Close() })
	b, ended := &board{}, make(chan error, 1)
	go func() { ended <- d.follow(t.Context(), b.publish) }()
	s.Plant(t, root, "a", endpoint("1"))
	b.wait(t, "127.0.0.1:1") // the watch has begun
	proxy.Reset()
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "the stream of the watch broke")
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
}
