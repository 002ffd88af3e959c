// A test of what the log says of a server's processes.

package play

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/stage"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// A worker of the master that runs is replaced; one of an earlier master, which
// is seen to be gone only now, is not.
func TestWhoIsReplaced(t *testing.T) {
	s, err := stage.New()
	require.NoError(t, err)
	p := &Play{journal: newJournal(), signals: map[int]signalled{}}
	v := &server{name: "A", play: p}
	v.Program = s.Add("server A", func() *exec.Cmd { return exec.Command("sleep", "600") })
	require.NoError(t, v.Start())

	worker := func(pid, parent int) member { return member{Info: proc.Info{PID: pid, Parent: parent}, role: "worker"} }
	v.gone(worker(11, 10), time.Now())
	v.came(worker(12, v.PID()), time.Now())
	v.gone(worker(12, v.PID()), time.Now())
	v.came(worker(13, v.PID()), time.Now())

	entries := p.journal.look(0).entries
	require.Len(t, entries, 4)
	assert.Equal(t, "11 ended (worker of A)", entries[0].Text)
	assert.Equal(t, "12 started (worker of A)", entries[1].Text)
	assert.Equal(t, "12 ended (worker of A)", entries[2].Text)
	assert.Contains(t, entries[3].Text, "12 reaped, replaced by 13 after")
	assert.Empty(t, s.Clear())
}
