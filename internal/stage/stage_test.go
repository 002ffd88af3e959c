//go:build unix

// Tests with shells for servers: what is known of a program's lives, and that
// a stage is empty after Clear.

package stage

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const patience = 20 * time.Second

// The master of each has one worker. At SIGTERM the good one ends it, and says
// so; the other leaves it behind.
const (
	good  = `trap 'kill $!; echo bye; exit 7' TERM; sleep 600 & wait`
	leaky = `trap 'exit 0' TERM; sleep 600 & wait`
)

// perform returns a stage with one program that runs.
func perform(t *testing.T, script string) (s *Stage, p *Program, worker int) {
	t.Helper()
	s, err := New()
	require.NoError(t, err)
	p = s.Add("server A", func() *exec.Cmd { return exec.Command("/bin/sh", "-c", script) })
	assert.False(t, p.Running())
	assert.Zero(t, p.PID())
	assert.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)

	require.NoError(t, p.Start())
	workers, err := p.WaitWorkers(t.Context(), 1)
	require.NoError(t, err)
	assert.NotEqual(t, p.PID(), workers[0])
	return s, p, workers[0]
}

func TestTwoLives(t *testing.T) {
	s, p, worker := perform(t, good)
	first := p.PID()
	require.NoError(t, p.Signal(syscall.SIGTERM))
	how, err := p.Wait(patience)
	require.NoError(t, err)
	assert.Equal(t, "exit status 7", how)
	assert.False(t, p.Running())

	require.NoError(t, p.Start())
	assert.True(t, p.Running())
	assert.NotEqual(t, first, p.PID())
	_, err = p.WaitWorkers(t.Context(), 1, worker)
	require.NoError(t, err)
	assert.Empty(t, s.Clear())
	log, err := os.ReadFile(p.Log())
	require.NoError(t, err)
	assert.Equal(t, "bye\nbye\n", string(log), "of both lives")
}

func TestClearEndsWhatIsStopped(t *testing.T) {
	s, p, _ := perform(t, good)
	require.NoError(t, p.Signal(syscall.SIGSTOP))
	assert.Empty(t, s.Clear())
	assert.False(t, p.Running())
}

func TestClearTellsOfWhatIsLeft(t *testing.T) {
	s, _, worker := perform(t, leaky)
	left := s.Clear()
	require.Len(t, left, 1)
	assert.Contains(t, left[0], "of server A")

	table, err := proc.Table()
	require.NoError(t, err)
	for _, info := range table {
		assert.False(t, info.PID == worker && info.Alive(), "it was killed")
	}
}

func TestOutputForAReader(t *testing.T) {
	s, err := New()
	require.NoError(t, err)
	p := s.Add("client", func() *exec.Cmd { return exec.Command("/bin/sh", "-c", "echo out; echo err >&2") })
	output, err := p.StartReading()
	require.NoError(t, err)
	defer output.Close()
	text, err := io.ReadAll(output)
	require.NoError(t, err)
	assert.Equal(t, "out\nerr\n", string(text))
	assert.NoFileExists(t, p.Log())
	assert.Empty(t, s.Clear())
}
