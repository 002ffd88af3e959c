// Pens: what keeps a submission from the machine, from the process that asks
// it, and from other submissions.

package grade

import (
	"os"
	"os/exec"
	"path/filepath"

	"example.com/rpcworkbook/internal/proc"
)

// maxProcesses is how many processes a submission and its specification may
// have together.
const maxProcesses = 200

// A pen says how submissions are kept.
type pen struct {
	missing []string // what can't be had on this machine
}

// newPen finds out what can be had on this machine.
func newPen() *pen { return &pen{} }

// inside returns the path by which the processes of an asking know a file of
// the submission's copy.
func (p *pen) inside(_ *asking, path string) string { return path }

// start starts the process that asks, and returns its output.
func (p *pen) start(a *asking, args []string) (*proc.Group, *os.File, error) {
	cmd := exec.Command(a.test.bin, args...)
	cmd.Dir = filepath.Dir(a.test.bin)
	a.mark = proc.NewMark()
	cmd.Env = append(os.Environ(), a.mark)
	group, output, err := proc.StartReading(cmd)
	if err != nil {
		return nil, nil, err
	}
	group.Limit(maxProcesses, a.mark)
	return group, output, nil
}

// end ends all processes of an asking.
func (p *pen) end(group *proc.Group, a *asking) error {
	err := group.Kill()
	if err != nil {
		return err
	}
	return proc.KillMarked(a.mark)
}
