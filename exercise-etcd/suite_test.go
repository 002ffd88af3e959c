// etcd held to the suite that every registry must pass, the same as
// ZooKeeper's.

package etcd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"example.com/rpcworkbook/exercise-etcd/internal/etcddev"
	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/discoverytest"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
)

func TestMain(m *testing.M) {
	etcddev.Main()
	os.Exit(harness.Main(m))
}

func TestDiscovery(t *testing.T) { backend().Run(t) }

func BenchmarkDiscovery(b *testing.B) { backend().Benchmark(b) }

func backend() discoverytest.Backend {
	return discoverytest.Backend{
		Start: func(t testing.TB) discoverytest.Store { return &store{startEtcd(t, nil)} },
		StartThree: func(t testing.TB) (stores []discoverytest.Store) {
			servers, err := etcddev.StartThree(t.Context())
			require.NoError(t, err)
			for _, s := range servers {
				stopAfter(t, s)
				stores = append(stores, &store{s})
			}
			return stores
		},
		Register: func(t testing.TB, addr, root string, session time.Duration, endpoint rpc.Endpoint) rpc.Registration {
			return NewRegistrar(at(addr), root, session, endpoint)
		},
		Discover: func(t testing.TB, addr, root string, session time.Duration) rpc.Discovery {
			return NewDiscovery(at(addr), root, session)
		},
		Link: func(t testing.TB, s discoverytest.Store) discoverytest.Link {
			return discoverytest.Link{Proxy: netproxy.StartT(t, s.Addr()), Expire: s.(*store).expire}
		},
	}
}

// at is what a client needs to find etcd there.
func at(addrs string) clientv3.Config {
	return clientv3.Config{Endpoints: strings.Split(addrs, ",")}
}

// startEtcd starts an etcd, which ends with the test.
func startEtcd(t testing.TB, tls *etcddev.TLS) *etcddev.Server {
	t.Helper()
	s, err := etcddev.Start(t.Context(), tls)
	require.NoError(t, err)
	stopAfter(t, s)
	return s
}

func stopAfter(t testing.TB, s *etcddev.Server) {
	t.Cleanup(func() {
		if t.Failed() && s.Output() != "" {
			t.Logf("what etcd on %s said: %s", s.Addr(), s.Output())
		}
		require.NoError(t, s.Stop())
	})
}

// A store looks at an etcd.
type store struct{ *etcddev.Server }

// ask makes a request with two seconds of time.
func ask[T any](f func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return f(ctx)
}

func (s *store) Entries(_ testing.TB, root string) (entries []discoverytest.Entry, err error) {
	all, err := ask(func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.Client().Get(ctx, root+"/rpc/", clientv3.WithPrefix())
	})
	if err != nil {
		return nil, err
	}
	for _, kv := range all.Kvs {
		name := strings.TrimPrefix(string(kv.Key), root+"/rpc/")
		entries = append(entries, discoverytest.Entry{Name: name, Data: string(kv.Value)})
	}
	return entries, nil
}

func (s *store) Plant(t testing.TB, root, name, data string) {
	_, err := ask(func(ctx context.Context) (*clientv3.PutResponse, error) {
		return s.Client().Put(ctx, root+"/rpc/"+name, data)
	})
	require.NoError(t, err)
}

func (s *store) Remove(t testing.TB, root, name string) {
	_, err := ask(func(ctx context.Context) (*clientv3.DeleteResponse, error) {
		return s.Client().Delete(ctx, root+"/rpc/"+name)
	})
	require.NoError(t, err)
}

func (s *store) Clear(t testing.TB, root string) {
	_, err := ask(func(ctx context.Context) (*clientv3.DeleteResponse, error) {
		return s.Client().Delete(ctx, root+"/", clientv3.WithPrefix())
	})
	require.NoError(t, err)
}

func (s *store) Leads() bool {
	status, err := ask(func(ctx context.Context) (*clientv3.StatusResponse, error) {
		return s.Client().Status(ctx, s.Addr())
	})
	return err == nil && status.Header.MemberId == status.Leader
}

// expire ends the leases of what is registered under root.
func (s *store) expire(root string) error {
	entries, err := s.Entries(nil, root)
	if err != nil {
		return err
	}

	for _, e := range entries {
		var lease clientv3.LeaseID
		if _, err := fmt.Sscanf(e.Name, "%x", &lease); err != nil {
			return fmt.Errorf("the lease in %q: %w", e.Name, err)
		}
		_, err := ask(func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) {
			return s.Client().Revoke(ctx, lease)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
