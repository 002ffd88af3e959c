//go:build linux

// What a run leaves behind that doesn't get to its end: nothing.

package nettest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

// RunKilled kills a run in its middle, once as Ctrl-C does and once by SIGKILL,
// and expects that nothing of it is left: no process, no namespace and no file.
// test is the name of the test that calls Run.
func (b Backend) RunKilled(t *testing.T, test string) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			mark := "NETTEST_MARK=" + dir // in the environment of every process of that run
			cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v", "-length=1m", "-seed=1")
			cmd.Env = append(os.Environ(), mark, "TMPDIR="+dir)
			group, output, err := proc.StartReading(cmd)
			must(t, err)
			defer output.Close()
			lines, last := bufio.NewScanner(output), ""
			for lines.Scan() && !strings.Contains(lines.Text(), "round 1") {
				last = lines.Text()
			}
			processes, namespaces := marked(mark)
			// And the machine's own.
			if len(processes) < memberCount+serverCount+clientCount || len(namespaces) <= castCount {
				t.Errorf("processes %v in namespaces %v: not what a run is; it said last: %s",
					processes, namespaces, last)
			}

			must(t, group.SignalAll(sig))
			for lines.Scan() { // it is not to be held up
			}
			must(t, group.WaitGone(patience))
			harness.Eventually(t, patience, "nothing left of a run that was killed", func() (bool, string) {
				left, _ := marked(mark)
				files, _ := filepath.Glob(dir + "/*")
				return len(left) == 0 && len(files) == 0, fmt.Sprintf("processes %v, files %v", left, files)
			})
			_, all := marked("")
			for namespace := range namespaces {
				if all[namespace] && namespace != ownNamespace() {
					t.Errorf("somebody is still in %s", namespace)
				}
			}
		})
	}
}

// marked returns the processes that have a text in their environment, and the
// network namespaces in which they are.
func marked(mark string) (pids []string, namespaces map[string]bool) {
	namespaces = make(map[string]bool)
	names, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range names {
		environment, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(environment), mark) { // it has ended, or is another's
			continue
		}

		dir := filepath.Dir(name)
		namespace, err := os.Readlink(dir + "/ns/net")
		if err == nil {
			pids, namespaces[namespace] = append(pids, filepath.Base(dir)), true
		}
	}

	return pids, namespaces
}

func ownNamespace() string {
	namespace, _ := os.Readlink("/proc/self/ns/net")
	return namespace
}
