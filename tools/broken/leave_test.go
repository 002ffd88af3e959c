// Nothing that a specification starts outlives it, however it ends: tried with
// workers that never end by themselves, in the middle of the milestone that
// has just killed their master.

package broken

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

// buildOrphans builds the program whose workers outlive their master.
func buildOrphans(t *testing.T) (bin string) {
	t.Helper()
	all := Programs()
	p := all[slices.IndexFunc(all, func(p Program) bool { return p.Name == "orphans" })]
	overlay, err := p.Overlay(root, t.TempDir())
	require.NoError(t, err)
	bin = filepath.Join(t.TempDir(), "orphans")
	output, err := exec.Command("go", "build", "-C", filepath.Join(root, p.Step), "-buildvcs=false",
		"-overlay="+overlay, "-o", bin, ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return bin
}

// waitOrphans waits until the two workers have lost their master, and returns
// the directory with the temporary files of the test process.
func waitOrphans(t *testing.T, bin, mark string) (dir string) {
	t.Helper()
	harness.Eventually(t, time.Minute, "two workers of a master that was killed", func() (bool, string) {
		all, err := proc.Marked(mark)
		require.NoError(t, err)
		var pids, parents []int
		for _, p := range all {
			command := proc.CommandLine(p.PID)
			if strings.HasPrefix(command, bin+" ") {
				pids, parents = append(pids, p.PID), append(parents, p.Parent)
			}
			if m := watchdogDir.FindStringSubmatch(command); m != nil {
				dir = m[1]
			}
		}

		return len(pids) == 2 && parents[0] == parents[1] && !slices.Contains(pids, parents[0]), list(all)
	})
	require.DirExists(t, dir)
	return dir
}

var watchdogDir = regexp.MustCompile(` watchdog (/.*/rpcworkbook-[0-9]+)( |$)`)

func TestNothingIsLeft(t *testing.T) {
	const milestone = `^TestSpec3$/^3\.10_`
	bin := buildOrphans(t)
	program := "-program='" + bin + "' -workers {workers} {host} {port}"
	tests, err := testBinary("step3-prefork")
	require.NoError(t, err)
	for _, test := range []struct {
		name string
		args []string
		end  func(*proc.Group) error
		said string
	}{
		{
			name: "Ctrl-C",
			args: []string{"go", "test", "-count=1", "-run=" + milestone, ".", program},
			// A terminal sends it to the whole group.
			end: func(g *proc.Group) error { return g.SignalAll(syscall.SIGINT) },
		},
		{
			name: "SIGKILL of the test process",
			args: []string{tests, "-test.run=" + milestone, program},
			end:  func(g *proc.Group) error { return g.Signal(syscall.SIGKILL) },
		},
		{
			name: "a dump of all stacks, as that of a panic",
			args: []string{tests, "-test.run=" + milestone, program},
			end:  func(g *proc.Group) error { return g.Signal(syscall.SIGQUIT) },
			said: "SIGQUIT: quit",
		},
		{
			name: "a milestone that fails",
			args: []string{tests, "-test.run=" + milestone, program},
			end:  func(*proc.Group) error { return nil },
			said: "✗ 3.10 ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mark := newMark()

			cmd := exec.Command(test.args[0], test.args[1:]...)
			cmd.Dir = filepath.Join(root, "step3-prefork")
			cmd.Env = append(os.Environ(), mark)

			var output bytes.Buffer
			cmd.Stdout, cmd.Stderr = &output, &output
			group, err := proc.Start(cmd)
			require.NoError(t, err)

			dir := waitOrphans(t, bin, mark)
			require.NoError(t, test.end(group))
			require.False(t, group.State().Success())

			assert.Contains(t, output.String(), test.said)
			assert.NoError(t, leftovers(mark), "the test process said:\n%s", &output)
			assert.NoDirExists(t, dir)
		})
	}
}

var marks atomic.Int64

// newMark returns a variable for the environment of a process. All that this
// process starts has it, too, and so on.
func newMark() string { return fmt.Sprintf("BROKEN_TEST_RUN=%d.%d.", os.Getpid(), marks.Add(1)) }

// leftovers waits for a moment until no process with that mark is left. If some
// are, it kills them, and the error says which they were.
func leftovers(mark string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		all, err := proc.Marked(mark)
		if err != nil || len(all) == 0 {
			return err
		}

		if time.Now().After(deadline) {
			for _, p := range all {
				_ = syscall.Kill(p.PID, syscall.SIGKILL)
			}
			return fmt.Errorf("left behind:\n%s", list(all))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func list(all []proc.Info) string {
	var lines []string
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("%d, child of %d: %s", p.PID, p.Parent, proc.CommandLine(p.PID)))
	}
	return strings.Join(lines, "\n")
}
