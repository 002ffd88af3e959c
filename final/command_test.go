// Tests of what commands share: flags that are wrong.

//go:build unix

package rpc

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
)

func TestCommandFlagsThatMakeNoSense(t *testing.T) {
	for _, wrong := range []struct{ command, flag, value string }{
		{"client", "-n", "0"}, {"client", "-interval", "-1ns"}, {"client", "-wait", "-1ns"},
		{"client", "-timeout", "0s"},
		{"server", "-workers", "0"}, {"server", "-grace", "-1ns"}, {"server", "-idle-timeout", "-1ns"},
		{"server", "-frame-timeout", "-1ns"},
		{"server", "-advertise", "[::1]"},
	} {
		args := []string{wrong.flag, wrong.value}
		if wrong.command == "server" {
			args = append(args, "127.0.0.1", "0")
		}
		stdout, stderr, code := harness.Run(t, harness.Build(t, "./cmd/"+wrong.command), "", args...)
		assert.Equal(t, 2, code, "exit code for %v", wrong)
		assert.Contains(t, stderr, wrong.flag)
		assert.Contains(t, stderr, wrong.command+" -h")
		assert.Empty(t, stdout)
	}
}
