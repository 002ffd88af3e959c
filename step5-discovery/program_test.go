// How this step's server is started for the specifications.

package main

import (
	"os"
	"testing"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func startServer(t *testing.T, o harness.Options) *harness.Server {
	t.Helper()
	return harness.StartServer(t, harness.Build(t, "."), func(host, port string) []string {
		args := append([]string{"server"}, o.Args("workers", "grace", "zk", "root", "advertise", "session")...)
		return append(args, host, port)
	}, o)
}
