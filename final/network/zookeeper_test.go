// ZooKeeper, as the run wants it.

//go:build linux

package network

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/netlab"
	"example.com/rpcworkbook/internal/nettest"
	"example.com/rpcworkbook/internal/zkdev"
)

func TestMain(m *testing.M) { os.Exit(zooKeeper().Main(m)) }

func TestNet(t *testing.T) { zooKeeper().Run(t, "net") }

func TestNetKilled(t *testing.T) { zooKeeper().RunKilled(t, "TestNet") }

func zooKeeper() nettest.Backend {
	return nettest.Backend{
		Name: "ZooKeeper", Entry: "znode",
		Start: startEnsemble, SlowDisks: true,
		Look:   lookFrom,
		Server: "../cmd/server",
		Flags: func(registry, root string, session time.Duration) []string {
			return []string{"-zk", registry, "-root", root, "-session", session.String()}
		},
		Discover: func(registry, root string, session time.Duration) (rpc.Discovery, error) {
			s, err := rpc.NewSession(registry, session)
			if err != nil {
				return nil, err
			}
			return rpc.NewZKDiscovery(s, root), nil
		},
	}
}

func startEnsemble(t *testing.T, hosts [3]*netlab.Host) (members []nettest.Member) {
	var places [3]zkdev.Place
	for i, host := range hosts {
		places[i] = zkdev.Place{Host: host.Addr, Do: host.Do}
	}

	// Who is looked for, while a leader is elected, and doesn't answer holds
	// the election up for cnxTimeout, in milliseconds; and 3 s of silence end a
	// leader.
	ensemble, err := zkdev.StartEnsembleAt(t.Context(), places, "forceSync=yes", "cnxTimeout=500", "syncLimit=6")
	require.NoError(t, err)
	for _, s := range ensemble.Members {
		t.Cleanup(func() { require.NoError(t, s.Stop()) })
		members = append(members, s)
	}
	return members
}

// lookFrom looks with a session of its own, and with sync: a member may lag
// behind.
func lookFrom(t *testing.T, from *netlab.Host, members []nettest.Member, root string) func() ([]string, error) {
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.Addr())
	}
	// The library sleeps for a second when it has tried its whole list. So it
	// gets a long one.
	conn, _, err := zk.Connect(slices.Repeat(addrs, 100), 10*time.Second, zk.WithLogger(silent{}),
		zk.WithDialer(func(network, addr string, _ time.Duration) (conn net.Conn, err error) {
			from.Do(func() { conn, err = net.DialTimeout(network, addr, time.Second) })
			return conn, err
		}))
	require.NoError(t, err)
	t.Cleanup(conn.Close)

	type result struct {
		addrs []string
		err   error
	}
	return func() ([]string, error) {
		done := make(chan result, 1)
		go func() {
			addrs, err := look(conn, root)
			done <- result{addrs, err}
		}()
		select {
		case got := <-done:
			return got.addrs, got.err
		case <-time.After(2 * time.Second):
			return nil, errors.New("ZooKeeper doesn't answer")
		}
	}
}

func look(conn *zk.Conn, root string) (addrs []string, err error) {
	if _, err := conn.Sync(root); err != nil {
		return nil, err
	}
	names, _, err := conn.Children(root)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	for _, name := range names {
		data, _, err := conn.Get(strings.Join([]string{root, name}, "/"))
		if errors.Is(err, zk.ErrNoNode) {
			continue // it has just gone
		}
		if err != nil {
			return nil, err
		}
		addr, err := rpc.ParseEndpoint(data)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}
