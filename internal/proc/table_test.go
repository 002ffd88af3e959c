// Tests of reading the process table.

package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	p, err := parseStat([]byte("4711 (a) (b 1 2) S 12 34 34 0 -1 4194560 500 0 0 0 150 50 " +
		"0 0 20 0 7 0 9000 1000000 25 18446744073709551615 1 1\n"))
	require.NoError(t, err)
	assert.Equal(t, Info{PID: 4711, Parent: 12, Group: 34, State: 'S', Threads: 7, Name: "a) (b 1 2",
		CPU: 2 * time.Second, RSS: 25 * int64(os.Getpagesize())}, p)
	for _, bad := range []string{"", "1 name S", "1 (name) S 2 3"} {
		_, err := parseStat([]byte(bad))
		assert.Error(t, err, bad)
	}
}

func TestAZombieWithThreadsIsNotGone(t *testing.T) {
	for threads, alive := range map[string]bool{"1": false, "2": true} {
		p, err := parseStat([]byte("4711 (killed) Z 12 34 34 0 -1 4194560 500 0 0 0 150 50 " +
			"0 0 20 0 " + threads + " 0 9000 0 0 18446744073709551615 1 1\n"))
		require.NoError(t, err)
		assert.Equal(t, alive, p.Alive(), "%s threads", threads)
	}
}

func TestFromPS(t *testing.T) {
	all, err := fromPS("    1     0     1 Ss   13156   0:03.40 /sbin/launchd\n" +
		"  502   501   500 Z        0   0:00.00 (a worker)\n")
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, Info{
		PID: 1, Group: 1, State: 'S', RSS: 13156 << 10, CPU: 3400 * time.Millisecond, Name: "/sbin/launchd",
	}, all[0])
	assert.Equal(t, Info{PID: 502, Parent: 501, Group: 500, State: 'Z', Name: "(a worker)"}, all[1])
	assert.False(t, all[1].Alive())
	_, err = fromPS("too short\n")
	assert.Error(t, err)
}

func TestParseCPU(t *testing.T) {
	for column, want := range map[string]time.Duration{
		"0:00.01":    10 * time.Millisecond,
		"12:34.50":   12*time.Minute + 34500*time.Millisecond,
		"01:02:03":   time.Hour + 2*time.Minute + 3*time.Second,
		"2-01:00:00": 49 * time.Hour,
	} {
		assert.Equal(t, want, parseCPU(column), column)
	}
}

// TestBothSourcesAgree compares /proc with ps where both are there.
func TestBothSourcesAgree(t *testing.T) {
	if !HasProc() {
		t.Skip("needs Linux's /proc")
	}
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("no ps here")
	}
	self := func(all []Info, err error) Info {
		require.NoError(t, err)
		for _, p := range all {
			if p.PID == os.Getpid() {
				return p
			}
		}
		t.Fatal("this process is missing")
		return Info{}
	}

	proc, ps := self(fromProc()), self(askPS())
	assert.Equal(t, proc.Parent, ps.Parent)
	assert.Equal(t, proc.Group, ps.Group)
	assert.InEpsilon(t, proc.RSS, ps.RSS, 0.5)
	assert.InDelta(t, proc.CPU, ps.CPU, float64(2*time.Second), "ps knows whole seconds")
}
