// etcd, as the run wants it.

//go:build linux

package network

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	etcd "example.com/rpcworkbook/exercise-etcd"
	"example.com/rpcworkbook/exercise-etcd/internal/etcddev"
	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/netlab"
	"example.com/rpcworkbook/internal/nettest"
)

func TestMain(m *testing.M) {
	etcddev.Main()
	os.Exit(backend().Main(m))
}

func TestNet(t *testing.T) { backend().Run(t, "net-etcd") }

func TestNetKilled(t *testing.T) { backend().RunKilled(t, "TestNet") }

func backend() nettest.Backend {
	return nettest.Backend{
		Name: "etcd", Entry: "key",
		Start:  startThree,
		Look:   lookFrom,
		Server: "../cmd/server",
		Flags: func(registry, root string, session time.Duration) []string {
			return []string{"-endpoints", registry, "-root", root, "-session", session.String()}
		},
		Discover: func(registry, root string, session time.Duration) (rpc.Discovery, error) {
			return etcd.NewDiscovery(clientv3.Config{Endpoints: strings.Split(registry, ",")}, root, session), nil
		},
	}
}

func startThree(t *testing.T, hosts [3]*netlab.Host) (members []nettest.Member) {
	var places [3]etcddev.Place
	for i, host := range hosts {
		places[i] = etcddev.Place{Host: host.Addr, Do: host.Do}
	}
	servers, err := etcddev.StartThreeAt(t.Context(), places)
	require.NoError(t, err)
	for _, s := range servers {
		t.Cleanup(func() { require.NoError(t, s.Stop()) })
		members = append(members, s)
	}
	return members
}

// lookFrom asks for a list that a majority agrees to: that is what a Get is.
func lookFrom(t *testing.T, from *netlab.Host, members []nettest.Member, root string) func() ([]string, error) {
	dial := func(ctx context.Context, addr string) (conn net.Conn, err error) {
		dialer := net.Dialer{Timeout: time.Second}
		from.Do(func() { conn, err = dialer.DialContext(ctx, "tcp4", addr) })
		return conn, err
	}
	// A client for each: one client for all would stay with a member that is
	// cut off from the others.
	var clients []*clientv3.Client
	for _, m := range members {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{m.Addr()}, Logger: zap.NewNop(),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(dial)},
		})
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		clients = append(clients, client)
	}

	return func() (addrs []string, err error) {
		for _, client := range clients {
			addrs, err = look(client, root)
			if err == nil {
				return addrs, nil
			}
		}
		return nil, err
	}
}

func look(client *clientv3.Client, root string) (addrs []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 600*time.Millisecond)
	defer cancel()
	all, err := client.Get(ctx, root+"/rpc/", clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}

	for _, kv := range all.Kvs {
		addr, err := rpc.ParseEndpoint(kv.Value)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}
