// What programs are made of that are no tests.

package book

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
)

// TestProgramsAreNoTests wants no package testing in what people run: with it
// come its flags, and all that only tests need.
func TestProgramsAreNoTests(t *testing.T) {
	root, err := carry.FindRoot()
	require.NoError(t, err)
	for module, programs := range map[string][]string{
		".": {
			"./internal/demo/cmd/demo", "./internal/zkdev/cmd/zookeeper", "./final/cmd/server", "./final/cmd/client",
			"./internal/play/cmd/play", "./internal/play/cmd/caller",
		},
		"tools": {"./bench/cmd/bench", "./discovery/cmd/discovery"},
	} {
		for _, program := range programs {
			command := exec.Command("go", "list", "-deps", program)
			command.Dir = filepath.Join(root, module)
			output, err := command.CombinedOutput()
			require.NoError(t, err, "%s", output)
			assert.NotContains(t, strings.Fields(string(output)), "testing", program)
		}
	}
}
