// Tests of the command from outside. What it measures is tested in its package.

//go:build linux

package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestCommandLine(t *testing.T) {
	bin := harness.Build(t, ".")
	for _, wrong := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{"-rounds", "0"}, "-rounds must be at least 1, not 0", 2},
		{[]string{"more"}, "need 0 arguments", 2},
		{nil, "type make bench-discovery", 1}, // nothing was built beside it
	} {
		stdout, stderr, code := harness.Run(t, bin, "", wrong.args...)
		assert.Equal(t, wrong.code, code, "%v", wrong.args)
		assert.Contains(t, stderr, wrong.says)
		assert.Empty(t, stdout)
	}
}
