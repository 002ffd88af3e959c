// ZooKeeper held to the suite that every registry must pass.

//go:build unix

package system

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/discoverytest"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

func TestDiscovery(t *testing.T) { zooKeeper().Run(t) }

func BenchmarkDiscovery(b *testing.B) { zooKeeper().Benchmark(b) }

func zooKeeper() discoverytest.Backend {
	begin := func(t testing.TB, addr string, session time.Duration) *rpc.Session {
		s, err := rpc.NewSession(addr, session)
		require.NoError(t, err)
		return s
	}
	return discoverytest.Backend{
		Start: func(t testing.TB) discoverytest.Store {
			return &zkStore{zktest.Start(t), map[string]*zktest.Registry{}}
		},
		StartThree: func(t testing.TB) (stores []discoverytest.Store) {
			for _, member := range zktest.StartEnsemble(t).Members {
				stores = append(stores, &zkStore{member, map[string]*zktest.Registry{}})
			}
			return stores
		},
		Link: func(t testing.TB, s discoverytest.Store) discoverytest.Link {
			gate := zktest.NewGate(t, s.(*zkStore).Server)
			return discoverytest.Link{Proxy: gate.Proxy, Expire: func(string) error { return gate.Expire() }}
		},
		Register: func(t testing.TB, addr, root string, session time.Duration, endpoint rpc.Endpoint) rpc.Registration {
			return rpc.NewRegistrar(begin(t, addr, session), root, endpoint)
		},
		Discover: func(t testing.TB, addr, root string, session time.Duration) rpc.Discovery {
			return rpc.NewZKDiscovery(begin(t, addr, session), root)
		},
	}
}

// A zkStore looks at a ZooKeeper with a registry for each root, which belongs
// to one test.
type zkStore struct {
	*zkdev.Server
	registries map[string]*zktest.Registry
}

func (s *zkStore) registry(t testing.TB, root string) *zktest.Registry {
	if s.registries[root] == nil {
		s.registries[root] = zktest.NewRegistry(t, s.Server, root)
	}
	return s.registries[root]
}

func (s *zkStore) Leads() bool {
	answer, err := s.FourLetter("srvr")
	return err == nil && strings.Contains(answer, "Mode: leader")
}

func (s *zkStore) Entries(t testing.TB, root string) (entries []discoverytest.Entry, err error) {
	nodes, err := s.registry(t, root).Nodes()
	for _, n := range nodes {
		entries = append(entries, discoverytest.Entry{Name: n.Name, Data: n.Data})
	}
	return entries, err
}

func (s *zkStore) Plant(t testing.TB, root, name, data string) {
	s.registry(t, root).Plant(name, data, false)
}

func (s *zkStore) Remove(t testing.TB, root, name string) {
	s.registry(t, root).Remove(zktest.Node{Name: name})
}

func (s *zkStore) Clear(t testing.TB, root string) {
	s.registry(t, root).RemoveRoot(10 * time.Second)
}
