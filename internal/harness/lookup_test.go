// Tests of looking for processes, on a machine whose PATH has no ps.

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withoutPS makes this a small system, where it has a /proc.
func withoutPS(t *testing.T) {
	t.Helper()
	if hasProc {
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
	assert.Contains(t, children, Found{PID: pid, Parent: os.Getpid(), Name: "sleep", Command: sleep + " 600"})
	found, err := Marked(mark)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, pid, found[0].PID)
	found, err = Marked(mark + "0")
	require.NoError(t, err)
	assert.Empty(t, found, "another mark")

	// A zombie, until it is waited for, and then nothing.
	require.NoError(t, child.Process.Kill())
	Eventually(t, 20*time.Second, "its end", func() (bool, string) {
		alive, err := Alive(pid)
		return !alive && err == nil, fmt.Sprint(err)
	})
	children, err = Children(os.Getpid())
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprint(children), " 600")
	_ = child.Wait()
	alive, err = Alive(pid)
	require.NoError(t, err)
	assert.False(t, alive)
	assert.Empty(t, CommandLine(pid))
	found, err = Marked(mark)
	require.NoError(t, err)
	assert.Empty(t, found)
}
