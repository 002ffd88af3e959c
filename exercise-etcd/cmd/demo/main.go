// The demo, with an etcd that it brings along: nothing has to be installed.

//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	etcd "example.com/rpcworkbook/exercise-etcd"
	"example.com/rpcworkbook/exercise-etcd/internal/etcddev"
	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/demo"
	"example.com/rpcworkbook/internal/proc"
)

const (
	root    = "/demo"         // what the servers' keys begin with
	session = 6 * time.Second // the servers' default, and the client's
)

func main() {
	etcddev.Main()
	demo.Main(demo.Registry{
		Name: "etcd", One: "an etcd", Entry: "key", Lease: "lease", Timeout: session,
		Program: build,
		Start: func(ctx context.Context) (demo.Running, error) {
			server, err := etcddev.Start(ctx, nil)
			return running{server}, err
		},
	})
}

// build returns the server's program: the one beside this one or, under go run,
// where there is none, one that it builds.
func build(ctx context.Context) (path string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the server's program: %w", err)
	}

	path = filepath.Join(filepath.Dir(self), "server")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}

	dir, err := proc.TempDir()
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "server")
	command := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path,
		"example.com/rpcworkbook/exercise-etcd/cmd/server")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, output)
	}
	return path, nil
}

type running struct{ *etcddev.Server }

func (r running) ServerArgs() []string { return []string{"-endpoints", r.Addr(), "-root", root} }

func (r running) Discovery() (rpc.Discovery, error) {
	return etcd.NewDiscovery(clientv3.Config{Endpoints: []string{r.Addr()}}, root, session), nil
}
