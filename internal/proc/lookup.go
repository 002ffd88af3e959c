// Looking for processes, whoever started them: whether one lives, whose
// children there are, and what carries a mark. From /proc where there is one: a
// small system has no ps.

package proc

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Living returns the pids of the living processes of a process group, sorted.
// A zombie is not one: either its parent will fetch its status, or its parent
// is gone and whoever adopted it may take its time.
func Living(group int) ([]int, error) {
	members, err := living(func(p Info) bool { return p.Group == group })
	pids := make([]int, len(members))
	for i, p := range members {
		pids[i] = p.PID
	}
	slices.Sort(pids)
	return pids, err
}

// Alive tells whether a process lives. A zombie doesn't.
func Alive(pid int) (bool, error) {
	found, err := living(func(p Info) bool { return p.PID == pid })
	return len(found) > 0, err
}

// Children returns the living children of a process.
func Children(parent int) ([]Info, error) {
	return living(func(p Info) bool { return p.Parent == parent })
}

// Marked returns the living processes that have entry, such as "NAME=value", in
// the environment that they were started with. It sees those of other users as
// root only.
func Marked(entry string) ([]Info, error) {
	if HasProc() {
		return living(func(p Info) bool { return contains(environ(p.PID), entry) })
	}

	// The environment comes behind the command line.
	output, err := exec.Command("ps", "-AEww", "-o", "pid=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("run ps: %w", err)
	}
	marked := map[int]bool{}
	for line := range strings.Lines(string(output)) {
		pid, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(pid); err == nil && strings.Contains(line, " "+entry) {
			marked[n] = true
		}
	}
	return living(func(p Info) bool { return marked[p.PID] })
}

// environ returns the environment that a process was started with, from /proc:
// nothing of one that is gone, or another user's.
func environ(pid int) []byte {
	environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return environment
}

// contains tells whether entry is one of an environment's.
func contains(environment []byte, entry string) bool {
	return bytes.Contains(append([]byte{0}, environment...), []byte("\x00"+entry+"\x00"))
}

// CommandLine returns the command line of a process, the words joined by
// spaces; "" if it is gone.
func CommandLine(pid int) string {
	if !HasProc() {
		output, _ := exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output() // gone since: nothing
		return strings.TrimSpace(string(output))
	}
	words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // gone since: nothing
	return strings.TrimSpace(strings.ReplaceAll(string(words), "\x00", " "))
}

// living returns the living processes for which want says so.
func living(want func(Info) bool) ([]Info, error) {
	all, err := Table()
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	return slices.DeleteFunc(all, func(p Info) bool { return !p.Alive() || !want(p) }), nil
}
