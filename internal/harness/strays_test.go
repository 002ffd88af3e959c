// Tests of what gets out of its process group: it is told of, and ended.

package harness

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/proc"
)

// needSetsid skips a test where there is no such command, as on macOS.
func needSetsid(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("needs setsid")
	}
}

// daemon starts a program that leaves a daemon behind, and returns its pid.
func daemon(t testing.TB) (pid int) {
	t.Helper()
	p := shell(t, "setsid sleep 1000 & echo $!")
	p.Wait(10 * time.Second)
	_, err := fmt.Sscan(p.Stdout(), &pid)
	require.NoError(t, err)
	return pid
}

func TestStraysAreToldOfAndEnded(t *testing.T) {
	needSetsid(t)
	var pid int
	log := mustFail(t, func(t testing.TB) {
		t = as{t, "TestSpec4/4.5_nobody_is_left"}
		Usually(t, "the workers end at the signal")
		pid = daemon(t)
	})
	assert.Regexp(t, fmt.Sprintf(`^
✗ 4\.5 nobody is left
  did       0\.\d\ds  started .*
  expected  nothing left of a program when its process group has been ended
  got       \d\.\d\ds  1 left, in process groups of their own, as daemons are, and killed now:
              %d sleep 1000
  again     .*
`, pid), log)
	waitGone(t, pid)
}

// The first report is the one that counts.
func TestStraysOfAFailedTestAreEnded(t *testing.T) {
	needSetsid(t)
	var pid int
	log := mustFail(t, func(t testing.TB) {
		pid = daemon(t)
		Check(t, false, "a word", "none")
	})
	assert.Contains(t, log, "expected  a word")
	assert.Contains(t, log, "processes: 1 left")
	assert.NotContains(t, log, "expected  nothing left")
	waitGone(t, pid)
}

func TestEachTestHasItsOwnStrays(t *testing.T) {
	needSetsid(t)
	mustFail(t, func(outer testing.TB) {
		pid := daemon(outer)
		failed, log := record(t, func(t testing.TB) { shell(t, "exit 0").Wait(10 * time.Second) })
		assert.False(t, failed, log)
		alive, err := proc.Alive(pid)
		require.NoError(t, err)
		assert.True(t, alive)
	})
}

func TestForkBombOfDaemons(t *testing.T) {
	needSetsid(t)
	log := mustFail(t, func(t testing.TB) {
		// A bounded one, as the other.
		p := shell(t, `i=0; while [ $i -lt 100 ]; do setsid sleep 20 & i=$((i+1)); done; wait`)
		assert.Equal(t, 128+9, p.Wait(15*time.Second))
	})
	assert.Contains(t, log, "fork bomb")
}
