// Looking for processes that were not started here: whether one lives, whose
// children there are, and what carries a mark. From /proc where there is one:
// a small system has no ps.

package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// A Found is a living process.
type Found struct {
	PID, Parent int
	Name        string // of its program, without the path; long ones may be cut off
	Command     string // its command line, the words joined by spaces
}

// Alive tells whether a process lives. A zombie doesn't.
func Alive(pid int) (bool, error) {
	all, err := processes()
	if err != nil {
		return false, fmt.Errorf("look for process %d: %w", pid, err)
	}
	for _, p := range all {
		if p.pid == pid {
			return p.alive(), nil
		}
	}
	return false, nil
}

// Children returns the living children of a process.
func Children(parent int) ([]Found, error) {
	return find(func(p process) bool { return p.parent == parent })
}

// Marked returns the living processes that have entry, such as "NAME=value", in
// the environment that they were started with. It sees those of other users as
// root only. Where there is no /proc, Command has the environment behind the
// command line.
func Marked(entry string) ([]Found, error) {
	if hasProc {
		return find(func(p process) bool {
			environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid)) // nothing of one that is gone, or another's
			return bytes.Contains(append([]byte{0}, environment...), []byte("\x00"+entry+"\x00"))
		})
	}

	output, err := exec.Command("ps", "-AEww", "-o", "pid=,ppid=,stat=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("run ps: %w", err)
	}
	var found []Found
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[2][0] == 'Z' || !strings.Contains(line, " "+entry) {
			continue
		}
		pid, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		found = append(found, Found{PID: pid, Parent: parent, Name: fields[3], Command: strings.Join(fields[3:], " ")})
	}
	return found, nil
}

// CommandLine returns the command line of a process, the words joined by
// spaces; "" if it is gone.
func CommandLine(pid int) string {
	if !hasProc {
		output, _ := exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output() // gone since: nothing
		return strings.TrimSpace(string(output))
	}
	words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // gone since: nothing
	return strings.TrimSpace(strings.ReplaceAll(string(words), "\x00", " "))
}

// find returns the living processes for which want says so.
func find(want func(process) bool) ([]Found, error) {
	all, err := processes()
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var found []Found
	for _, p := range all {
		if p.alive() && want(p) {
			found = append(found, Found{PID: p.pid, Parent: p.parent, Name: p.name, Command: CommandLine(p.pid)})
		}
	}
	return found, nil
}
