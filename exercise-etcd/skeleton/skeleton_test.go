// What the reader begins with compiles, with the tests that he is to turn
// green.

package etcd

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheExerciseBeginsWithWhatCompiles(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir() // of another module, whose path is the workbook's
	makefile, err := filepath.Abs(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	for _, name := range []string{"exercise-etcd", "final", "internal", "go.mod", "go.sum"} {
		require.NoError(t, os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)))
	}
	require.NoError(t, run(dir, "make", "-f", makefile, "begin-etcd"))
	require.NoError(t, run(filepath.Join(dir, "_etcd"), "go", "vet", "./..."))
	require.Error(t, run(dir, "make", "-f", makefile, "begin-etcd"), "what the reader has is kept")
}

func run(dir, name string, args ...string) error {
	command := exec.Command(name, args...)
	command.Dir = dir
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}
