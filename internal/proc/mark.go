// Marks: variables in the environment by which processes are found that have
// left their group, or their session too, as daemons do. Whoever starts a
// process hands its environment on, unless it takes trouble.

package proc

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// All marks of this process begin with markPrefix; no other process has it. The
// watchdog looks for it.
var (
	markPrefix = fmt.Sprintf("RPC_TEST_%d_%x_", os.Getpid(), time.Now().UnixNano())
	marks      atomic.Int64
)

// NewMark returns a variable, as "NAME=value", that no process has yet. Those
// that get it are found with Marked and ended with KillMarked; on Linux they
// end with this process at the latest, as groups do.
func NewMark() string { return fmt.Sprintf("%s%d=1", markPrefix, marks.Add(1)) }

// KillMarked ends the processes that Marked finds, and returns when there is
// none any more. It fails when some are left after 10 s.
func KillMarked(mark string) error {
	deadline := time.Now().Add(killTimeout)
	for {
		all, err := Marked(mark)
		if err != nil || len(all) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes that bear the mark %s are not gone after %v", len(all), mark, killTimeout)
		}

		// First all of them are held up: or else one starts another while we
		// kill its neighbour.
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, p := range all {
				_ = syscall.Kill(p.PID, sig) // it may have ended
			}
		}
		time.Sleep(pollPause)
	}
}
