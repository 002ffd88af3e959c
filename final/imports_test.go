// What this package and its commands are made of: nothing that only the
// workbook has.

package rpc

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFinalStandsAlone holds the reference to what somebody can copy: outside
// tests, nothing of it imports what the workbook's own tests stand on.
func TestFinalStandsAlone(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", "./...").CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "example.com/rpcworkbook/final\n")
	for dependency := range strings.Lines(string(output)) {
		assert.NotContains(t, dependency, "rpcworkbook/internal/")
	}
}
