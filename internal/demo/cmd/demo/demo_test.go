// Tests of the demo from outside: one whole performance, and two that are cut
// short.

//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/demo/demotest"
	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// performance starts the demo with the server's program beside it.
func performance(t *testing.T) *harness.Program {
	t.Helper()
	demo, server := harness.Build(t, "."), harness.Build(t, "../../../../final/cmd/server")
	err := os.Symlink(server, filepath.Join(filepath.Dir(demo), "server"))
	require.True(t, err == nil || errors.Is(err, fs.ErrExist), "%v", err)
	return harness.Start(t, demo, nil)
}

func TestDemo(t *testing.T) {
	demo := performance(t)
	demotest.Whole(t, demo)
	assert.Contains(t, demo.Stdout(), "Two servers register in ZooKeeper. ")
	assert.Contains(t, demo.Stdout(), `
  * A killed master can't say goodbye: its znode stays until ZooKeeper has
    heard nothing from it for 6s, the session timeout.
`)
}

func TestDemoInterrupted(t *testing.T) { demotest.Interrupted(t, performance(t)) }

func TestDemoKilled(t *testing.T) { demotest.Killed(t, performance(t)) }
