// How the server is started for the specifications.

package rpc

import (
	"os"
	"testing"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// serverCommand returns the command line of a server, the program first.
func serverCommand(t *testing.T, o harness.Options, host, port string) []string {
	t.Helper()
	args := append([]string{harness.Build(t, "./cmd/server")}, o.Args("workers", "grace", "zk", "root", "advertise", "session")...)
	return append(args, host, port)
}

func startServer(t *testing.T, o harness.Options) *harness.Server {
	t.Helper()
	return harness.StartServer(t, harness.Build(t, "./cmd/server"), func(host, port string) []string {
		return serverCommand(t, o, host, port)[1:]
	}, o)
}

func startClient(t *testing.T, args ...string) *harness.Client {
	t.Helper()
	return harness.StartClient(t, harness.Build(t, "./cmd/client"), args...)
}
