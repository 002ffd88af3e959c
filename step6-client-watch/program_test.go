// How this step's server is started for the specifications.

package main

import (
	"os"
	"testing"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// theServer is how this step's server is started.
var theServer = harness.ServerProgram{
	Dir: ".", Word: "server",
	Flags: []string{"workers", "grace", "zk", "root", "advertise", "session"},
}

// theClient is how its client is started.
var theClient = harness.ClientProgram{Dir: ".", Word: "client"}
