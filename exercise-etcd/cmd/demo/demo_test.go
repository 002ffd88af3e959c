// Tests of the demo from outside: one whole performance, and two that are cut
// short.

//go:build unix

package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/demo/demotest"
	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// performance starts the demo, which builds the server.
func performance(t *testing.T) *harness.Program {
	t.Helper()
	return harness.Start(t, harness.Build(t, "."), nil)
}

func TestDemo(t *testing.T) {
	demo := performance(t)
	demotest.Whole(t, demo)
	assert.Contains(t, demo.Stdout(), "Two servers register in etcd. ")
	assert.Contains(t, demo.Stdout(), `
  * A killed master can't say goodbye: its key stays until etcd has
    heard nothing from it for 6s, the lease timeout.
`)
}

func TestDemoInterrupted(t *testing.T) { demotest.Interrupted(t, performance(t)) }

func TestDemoKilled(t *testing.T) { demotest.Killed(t, performance(t)) }
