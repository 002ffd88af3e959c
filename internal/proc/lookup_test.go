// Tests of looking for processes, on a machine whose PATH has no ps.

package proc

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withoutPS makes this a small system, where it has a /proc.
func withoutPS(t *testing.T) {
	t.Helper()
	if HasProc() {
		t.Setenv("PATH", t.TempDir())
	}
}

func TestLookup(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	withoutPS(t)
	mark := fmt.Sprintf("LOOKUP_TEST=%d", os.Getpid())
	child := exec.Command(sleep, "600")
	child.Env = append(os.Environ(), mark)
	require.NoError(t, child.Start())
	defer child.Process.Kill()
	pid := child.Process.Pid

	alive, err := Alive(pid)
	require.NoError(t, err)
	assert.True(t, alive)
	assert.Equal(t, sleep+" 600", CommandLine(pid))

	children, err := Children(os.Getpid())
	require.NoError(t, err)
	ours := func(p Info) bool { return p.PID == pid && p.Name == "sleep" }
	assert.True(t, slices.ContainsFunc(children, ours), "%v", children)
	found, err := Marked(mark)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, pid, found[0].PID)
	found, err = Marked(mark + "0")
	require.NoError(t, err)
	assert.Empty(t, found, "another mark")

	// A zombie, until it is waited for, and then nothing.
	require.NoError(t, child.Process.Kill())
	require.Eventually(t, func() bool {
		alive, err := Alive(pid)
		return err == nil && !alive
	}, patience, time.Millisecond)
	children, err = Children(os.Getpid())
	require.NoError(t, err)
	assert.False(t, slices.ContainsFunc(children, func(p Info) bool { return p.PID == pid }), "%v", children)
	_ = child.Wait()
	alive, err = Alive(pid)
	require.NoError(t, err)
	assert.False(t, alive)
	assert.Empty(t, CommandLine(pid))
	found, err = Marked(mark)
	require.NoError(t, err)
	assert.Empty(t, found)
}
