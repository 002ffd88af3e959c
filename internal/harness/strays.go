// Strays: processes that a program left behind and that are out of the reach of
// whoever ends its process group, as daemons are, and what calls setsid. Whole
// servers would stay on their ports. They are found by a mark in their
// environment, see proc.Marked.

package harness

import (
	"fmt"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/proc"
)

// strayTime is how long a process may take to end after its program has.
const strayTime = 500 * time.Millisecond

// markOf returns the mark of all processes of the test's programs.
func markOf(t testing.TB) (mark string) {
	tell(t, func(s *story) {
		if s.mark == "" {
			s.mark = proc.NewMark()
		}
		mark = s.mark
	})
	return mark
}

// endStrays ends what is left of the test's programs, which have all been
// stopped, and fails the test if there was something. If the test has failed
// already, it only adds a line.
func endStrays(t testing.TB, s *story) {
	if s.mark == "" {
		return
	}

	left, err := proc.Marked(s.mark)
	for late := time.Now().Add(strayTime); err == nil && len(left) > 0 && time.Now().Before(late); {
		time.Sleep(10 * time.Millisecond)
		left, err = proc.Marked(s.mark)
	}
	if err != nil {
		t.Errorf("look for what the programs left behind: %v", err)
		return
	}
	if len(left) == 0 {
		return
	}

	got := fmt.Sprintf("%d left, in process groups of their own, as daemons are, and killed now:", len(left))
	for _, p := range left {
		got += fmt.Sprintf("\n  %d %s", p.PID, proc.CommandLine(p.PID))
	}
	got = excerpt(got)

	if t.Failed() {
		t.Logf("processes: %s", got)
	} else {
		s.usually = ""
		report := s.report(t, "nothing left of a program when its process group has been ended",
			fmt.Sprintf("%.2fs  %s", time.Since(s.start).Seconds(), got))
		tell(t, func(s *story) { report = s.withPicture(t, report) })
		t.Error(report)
	}
	if err := proc.KillMarked(s.mark); err != nil {
		t.Error(err)
	}
}
