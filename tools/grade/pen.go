// Pens: what keeps a submission from the machine, from the process that asks
// it, and from other submissions.

package grade

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/rpcworkbook/internal/proc"
)

// A pen says how submissions are kept.
type pen struct {
	bounds  bounds
	missing []string // what can't be had on this machine, in words
	hidden  []string // directories that no program is to see

	cells     bool // each has namespaces of its own
	ownUser   bool // those are made with a user namespace, as we are not root
	separated bool // programs run as another user than the process that asks
	cgroups   bool
}

// bounds are how much a submission may have of the machine.
type bounds struct {
	Processes int   // of the program, threads included
	Files     int   // open ones, of each process
	Memory    int64 // bytes, of all processes together, or of each where there is no cgroup
	Disk      int64 // bytes; also the longest file
}

// asker is how many processes and threads the specification and its ZooKeepers
// may have, beside those of the program.
const asker = 1024

// usual is far more than a program that is right needs. Its specification and
// its ZooKeepers are inside, too.
var usual = bounds{Processes: 2048, Files: 8192, Memory: 2 << 30, Disk: 256 << 20}

// maxUncaged is how many processes a submission may have where only we count
// them.
const maxUncaged = 200

// newPen finds out what can be had on this machine.
func newPen(b bounds, hidden ...string) *pen {
	p := &pen{bounds: b, hidden: hidden}
	p.find()
	return p
}

// miss notes that something can't be had, and what follows from that.
func (p *pen) miss(what string, why error, so string) {
	p.missing = append(p.missing, fmt.Sprintf("no %s here (%v): %s", what, why, so))
}

// An order is what a new process of ours is told to do: to bound itself, and to
// become the process that asks.
type order struct {
	Args    []string // of what it becomes, the program's path first
	Dir     string   // where
	Bounds  bounds
	Cgroups []string // directories of those that it joins
	Cell    *cell    // where it is locked up; nil: nowhere
}

// orderVariable has the order, as JSON.
const orderVariable = "RPC_GRADE_ORDER"

// start starts the process that asks, and returns its output.
func (p *pen) start(a *asking, args []string) (*proc.Group, *os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	o := &order{Args: append([]string{a.test.bin}, args...), Dir: a.copied, Bounds: p.bounds}
	if p.cgroups {
		o.Cgroups, err = p.makeCgroups(a.slot)
		if err != nil {
			return nil, nil, err
		}
		a.cgroups = o.Cgroups
	}
	if p.cells {
		o.Args[0], o.Dir = cellTest, cellSubmission
		o.Cell, err = p.newCell(a)
		if err != nil {
			return nil, nil, err
		}
	}

	text, err := json.Marshal(o)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	a.mark = proc.NewMark()
	cmd.Env = append(p.environment(), a.mark, orderVariable+"="+string(text))
	if p.cells {
		cmd.SysProcAttr = p.namespaces()
	}
	group, output, err := proc.StartReading(cmd)
	if err == nil && !p.cells {
		group.Limit(maxUncaged, a.mark)
	}
	return group, output, err
}

// environment is what a submission may know of ours.
func (p *pen) environment() []string {
	var env []string

	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "PATH", "LANG", "TZ", "JAVA_HOME", "ZOOKEEPER_HOME":
			env = append(env, entry)
		case "HOME", "TMPDIR":
			if !p.cells {
				env = append(env, entry)
			}
		}
	}
	if p.cells {
		env = append(env, "HOME="+cellSubmission)
	}
	return env
}

// end ends all processes of an asking.
func (p *pen) end(group *proc.Group, a *asking) error {
	err := group.Kill() // that of a cell's first process is the end of all of them
	for range 5 {       // which takes its time, if they are many and the machine is busy
		if err != nil {
			err = group.Kill()
		}
	}
	if err != nil {
		return err
	}

	err = proc.KillMarked(a.mark)
	if err != nil {
		return err
	}
	return removeCgroups(a.cgroups)
}

// inside returns the path by which the processes of an asking know a file of
// the submission's copy.
func (p *pen) inside(a *asking, path string) string {
	if !p.cells {
		return path
	}
	name, err := filepath.Rel(a.copied, path)
	if err != nil {
		return path
	}
	return filepath.Join(cellSubmission, name)
}

// user returns the number of the user as whom the programs of a slot run, 0 for
// the one who asks. Each slot has its own: a limit on processes counts those of
// a user.
func (p *pen) user(slot int) int {
	if !p.separated {
		return 0
	}
	return 61_000 + slot
}

// Inside does what this process was told to do if it was started by Grade, and
// doesn't return then. Call it first in main.
func Inside() {
	text, ok := os.LookupEnv(orderVariable)
	if !ok {
		return
	}
	os.Unsetenv(orderVariable)

	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = o.obey()
	}
	fmt.Fprintln(os.Stderr, "the pen:", err)
	fmt.Println("the pen:", err)
	os.Exit(1)
}

// withoutCells is what follows where there are no namespaces.
const withoutCells = "submissions share this machine's processes, files and ports, and run with your rights. " +
	"On Linux, as root or with user namespaces, each has its own"
