// How the server is started for the specifications.

package rpc

import (
	"os"
	"testing"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// theServer is how the server is started.
var theServer = harness.ServerProgram{
	Dir: "./cmd/server", Word: "server", Alone: true,
	Flags: []string{"workers", "grace", "zk", "root", "advertise", "session"},
}

// theClient is how the client is started.
var theClient = harness.ClientProgram{Dir: "./cmd/client", Word: "client", Alone: true}
