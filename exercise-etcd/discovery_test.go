// What is etcd's own in watching: revisions, compaction, and what it costs.

package etcd

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/discoverytest"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
)

const root = "/demo"

// patience is for what takes a moment on an idle machine.
const patience = 20 * time.Second

// A board shows the latest snapshot. It is safe for concurrent use.
type board struct {
	mu     sync.Mutex
	latest *rpc.Snapshot
	all    int
}

func (b *board) publish(s rpc.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest = &s
	b.all++
}

func (b *board) wait(t *testing.T, servers ...string) {
	t.Helper()
	harness.Eventually(t, patience, strings.Join(servers, " ")+", not stale", func() (bool, string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.latest == nil {
			return false, "nothing"
		}
		return slices.Equal(b.latest.Servers, servers) && !b.latest.Stale, strings.Join(b.latest.Servers, " ")
	})
}

// watch has d watch until the end of the test.
func watch(t *testing.T, d *Discovery) *board {
	b, done := &board{}, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		d.Watch(ctx, b.publish)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return b
}

// counted counts the requests that are made with a configuration.
func counted(config clientv3.Config) (_ clientv3.Config, count func(method string) int) {
	var mu sync.Mutex
	calls := map[string]int{}
	config.DialOptions = append(config.DialOptions, grpc.WithChainUnaryInterceptor(
		func(
			ctx context.Context, method string, req, reply any,
			conn *grpc.ClientConn, call grpc.UnaryInvoker, options ...grpc.CallOption,
		) error {
			mu.Lock()
			calls[method]++
			mu.Unlock()
			return call(ctx, method, req, reply, conn, options...)
		}))
	return config, func(method string) int {
		mu.Lock()
		defer mu.Unlock()
		return calls[method]
	}
}

func endpoint(port string) string { return `{"host":"127.0.0.1","port":` + port + `}` }

func TestOneListAndThenOnlyChanges(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	config, count := counted(at(s.Addr()))
	const session = 3 * time.Second
	b := watch(t, NewDiscovery(config, root, session))
	b.wait(t)

	s.Plant(t, root, "a", endpoint("1"))
	b.wait(t, "127.0.0.1:1")
	s.Plant(t, root, "b", endpoint("2"))
	b.wait(t, "127.0.0.1:1", "127.0.0.1:2")

	time.Sleep(session) // in which nothing happens, and somebody without an answer would begin again
	s.Remove(t, root, "a")
	b.wait(t, "127.0.0.1:2")

	assert.Equal(t, 1, count("/etcdserverpb.KV/Range"), "lists read")
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Equal(t, 4, b.all, "snapshots: one for each change")
}

func TestWhatWasMissedIsCompactedAway(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	proxy := netproxy.StartT(t, s.Addr())
	s.Plant(t, root, "a", endpoint("1"))
	b := watch(t, NewDiscovery(at(proxy.Addr()), root, discoverytest.Session))
	b.wait(t, "127.0.0.1:1")
	proxy.Refuse()
	proxy.Reset()
	s.Remove(t, root, "a")
	s.Plant(t, root, "b", endpoint("2"))
	compact(t, s)
	require.NoError(t, proxy.Heal())
	b.wait(t, "127.0.0.1:2")
}

// compact forgets all revisions but the last.
func compact(t *testing.T, s *store) {
	t.Helper()
	_, err := ask(func(ctx context.Context) (*clientv3.CompactResponse, error) {
		now, err := s.Client().Get(ctx, root)
		if err != nil {
			return nil, err
		}
		return s.Client().Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	})
	require.NoError(t, err)
}

func TestOnlyKeysOfTheRoot(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	b := watch(t, NewDiscovery(at(s.Addr()), root, time.Second))
	b.wait(t)
	for i, other := range []string{"/dem", "/demo2", "/demo/rpc-old", "/other/demo"} {
		s.Plant(t, other, "a", endpoint(string(rune('5'+i))))
	}
	s.Plant(t, root, "a", endpoint("1"))
	b.wait(t, "127.0.0.1:1")
	late := watch(t, NewDiscovery(at(s.Addr()), root, time.Second))
	late.wait(t, "127.0.0.1:1")
}

func TestNothingIsLeftRunning(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	before := runtime.NumGoroutine()

	for range 5 {
		r := NewRegistrar(at(s.Addr()), root, discoverytest.Session, rpc.Endpoint{Host: "127.0.0.1", Port: 1})
		r.SetServing(true)
		ctx, cancel := context.WithCancel(t.Context())
		b, done := &board{}, make(chan struct{})
		go func() {
			defer close(done)
			NewDiscovery(at(s.Addr()), root, time.Second).Watch(ctx, b.publish)
		}()
		b.wait(t, "127.0.0.1:1")
		cancel()
		<-done
		assert.True(t, r.Close(t.Context()))
	}

	harness.Eventually(t, patience, "as many goroutines as before", func() (bool, string) {
		now := runtime.NumGoroutine()
		stacks := make([]byte, 1<<20)
		return now <= before, string(stacks[:runtime.Stack(stacks, true)])
	})

	harness.Eventually(t, patience, "no lease", func() (bool, string) {
		leases, err := ask(s.Client().Leases)
		return err == nil && len(leases.Leases) == 0, fmt.Sprint(leases, err)
	})
}
