//go:build unix

// Demo shows the whole system at work, with a ZooKeeper: make demo builds it
// and the server's program, which must lie beside it, and runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/demo"
	"example.com/rpcworkbook/internal/zkdev"
)

const (
	root    = "/demo"         // the znode under which the servers register
	session = 6 * time.Second // the servers' default, and the client's
)

func main() {
	demo.Main(demo.Registry{
		Name: "ZooKeeper", One: "a ZooKeeper", Entry: "znode", Lease: "session", Timeout: session,
		Program: beside,
		Start: func(ctx context.Context) (demo.Running, error) {
			server, err := zkdev.Start(ctx)
			return zookeeper{server}, err
		},
	})
}

func beside(context.Context) (path string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the server's program: %w", err)
	}
	path = filepath.Join(filepath.Dir(self), "server")
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("no program named server beside the demo: type make demo, which builds both")
	}
	return path, nil
}

type zookeeper struct{ *zkdev.Server }

func (z zookeeper) ServerArgs() []string { return []string{"-zk", z.Addr(), "-root", root} }

func (z zookeeper) Discovery() (rpc.Discovery, error) {
	ours, err := rpc.NewSession(z.Addr(), session)
	if err != nil {
		return nil, err
	}
	return rpc.NewZKDiscovery(ours, root), nil
}
