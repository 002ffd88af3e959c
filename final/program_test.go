// How the server is started for the specifications.

package rpc

import (
	"os"
	"testing"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func startServer(t *testing.T, o harness.Options) *harness.Server {
	t.Helper()
	return harness.StartServer(t, harness.Build(t, "./cmd/server"), func(host, port string) []string {
		return append(o.Args("workers", "grace", "zk", "root", "advertise", "session"), host, port)
	}, o)
}
