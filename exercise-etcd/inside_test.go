// What ends the following of changes, seen from inside.

package etcd

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
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

// What somebody has put in the place of our key hangs on no lease, and would
// outlive us.
func TestAKeyThatIsChangedIsPutRight(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	logged := harness.CaptureLog(t)
	r := &Registrar{config: at(s.Addr()), root: root, data: endpoint("1"), ctx: t.Context()} // etcd gives it a second
	r.wanted.Store(true)
	require.NoError(t, r.reconcile())
	defer func() { require.NoError(t, r.revoke(context.Background())); r.client.Close() }()
	assert.Contains(t, logged(), "asked=0s granted=1s")

	for _, change := range []func(name string){
		func(name string) { s.Plant(t, root, name, "gibberish") },
		func(name string) { s.Plant(t, root, name, endpoint("1")) }, // only the lease is not ours
		func(name string) { s.Remove(t, root, name) },
	} {
		change(strings.TrimPrefix(r.key(), root+"/rpc/"))
		before := len(logged())
		require.NoError(t, r.reconcile())
		found, err := r.client.Get(t.Context(), r.key())
		require.NoError(t, err)
		require.Len(t, found.Kvs, 1)
		assert.Equal(t, r.data, string(found.Kvs[0].Value))
		assert.Equal(t, int64(r.lease), found.Kvs[0].Lease)
		assert.Contains(t, logged()[before:], "level=WARN", "a word about it")
	}
}

// A put may begin, and its answer come in, while Close is about to end it all.
func TestACloseKnowsOfAPutThatBeganAfterIt(t *testing.T) {
	done := make(chan struct{})
	r := &Registrar{done: done}
	r.cancel = func() { // the test plays its run
		r.known.Store(true)
		close(done)
	}
	assert.True(t, r.Close(t.Context()), "clients may know of it")

	s := &store{startEtcd(t, nil)}
	r = &Registrar{config: at(s.Addr()), root: root, data: endpoint("1"), ctx: t.Context(), asked: time.Second}
	r.wanted.Store(true)
	require.NoError(t, r.reconcile())
	r.last = t.Context()
	r.end()
	assert.True(t, r.known.Load(), "clients knew of it until now")
}

// Whatever run is doing: a Close waits no longer than its context.
func TestACloseIsBounded(t *testing.T) {
	r := &Registrar{done: make(chan struct{}), cancel: func() {}} // its run never returns
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()

	closed := make(chan struct{})
	go func() {
		r.Close(ctx)
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("it waits")
	}
}

func TestEachTroubleIsLoggedOnce(t *testing.T) {
	logged := harness.CaptureLog(t)
	r := &Registrar{ctx: t.Context()}
	warned := ""
	for range 3 {
		warned = r.log(rpctypes.ErrNoSpace, warned)
	}
	assert.Equal(t, 1, strings.Count(logged(), "level=WARN"))

	r.log(rpctypes.ErrTimeout, warned)
	assert.Equal(t, 2, strings.Count(logged(), "level=WARN"), "another trouble")
	r.log(rpctypes.ErrTimeout, "")
	assert.Equal(t, 3, strings.Count(logged(), "level=WARN"), "the same, after a success")
}

// The pauses grow, and servers that fail together don't try again together.
func TestPause(t *testing.T) {
	const ms = time.Millisecond
	for failures, longest := range []time.Duration{200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 3200 * ms} {
		pauses := map[time.Duration]bool{}
		for range 20 {
			p := pause(failures)
			assert.GreaterOrEqual(t, p, longest/2)
			assert.Less(t, p, longest)
			pauses[p] = true
		}
		assert.Greater(t, len(pauses), 1, "%d failures: always the same pause", failures)
	}
}
