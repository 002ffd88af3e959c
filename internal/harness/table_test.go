// Tests of reading the process table.

package harness

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	p, err := parseStat([]byte("4711 (a) (b 1 2) S 12 34 34 0 -1 4194560 500 0 0 0 150 50 0 0 20 0 7 0 9000 1000000 25 18446744073709551615 1 1\n"))
	require.NoError(t, err)
	assert.Equal(t, process{pid: 4711, parent: 12, group: 34, state: 'S', threads: 7, name: "a) (b 1 2",
		cpu: 2 * time.Second, rss: 25 * int64(os.Getpagesize())}, p)
	for _, bad := range []string{"", "1 name S", "1 (name) S 2 3"} {
		_, err := parseStat([]byte(bad))
		assert.Error(t, err, bad)
	}
}

func TestAZombieWithThreadsIsNotGone(t *testing.T) {
	for threads, alive := range map[string]bool{"1": false, "2": true} {
		p, err := parseStat([]byte("4711 (killed) Z 12 34 34 0 -1 4194560 500 0 0 0 150 50 0 0 20 0 " + threads + " 0 9000 0 0 18446744073709551615 1 1\n"))
		require.NoError(t, err)
		assert.Equal(t, alive, p.alive(), "%s threads", threads)
	}
}

func TestFromPS(t *testing.T) {
	all, err := fromPS("    1     0     1 Ss   13156   0:03.40 /sbin/launchd\n  502   501   500 Z        0   0:00.00 (a worker)\n")
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, process{pid: 1, group: 1, state: 'S', rss: 13156 << 10, cpu: 3400 * time.Millisecond, name: "/sbin/launchd"}, all[0])
	assert.Equal(t, process{pid: 502, parent: 501, group: 500, state: 'Z', name: "(a worker)"}, all[1])
	assert.False(t, all[1].alive())
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
	NeedProc(t)
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("no ps here")
	}
	self := func(all []process, err error) process {
		require.NoError(t, err)
		for _, p := range all {
			if p.pid == os.Getpid() {
				return p
			}
		}
		t.Fatal("this process is missing")
		return process{}
	}
	proc, ps := self(fromProc()), self(askPS())
	assert.Equal(t, proc.parent, ps.parent)
	assert.Equal(t, proc.group, ps.group)
	assert.InEpsilon(t, proc.rss, ps.rss, 0.5)
	assert.InDelta(t, proc.cpu, ps.cpu, float64(2*time.Second), "ps knows whole seconds")
}

func TestStandsStill(t *testing.T) {
	parent, child := process{pid: 1, state: 'D'}, process{pid: 2, parent: 1, state: 'T'}
	assert.True(t, standsStill(child, nil))
	assert.True(t, standsStill(parent, []process{parent, child}), "it waits for a stopped child")
	child.state = 'S'
	assert.False(t, standsStill(parent, []process{parent, child}))
	child = process{pid: 2, parent: 3, state: 'T'}
	assert.False(t, standsStill(parent, []process{parent, child}), "another one's child")
	parent.state = 'R'
	assert.False(t, standsStill(parent, nil))
}
