// The scoreboard: the table at the end. It says what happened when, how long
// that took to reach the client's list of servers and the calls, and whether
// all calls were answered and all processes are gone.

//go:build unix

package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A scoreboard is what the demo has to show for itself.
type scoreboard struct {
	kind    Registry
	rows    []row
	tally   tally
	servers []*server
	left    []string // processes that should be gone
	took    time.Duration
}

// A row is one thing that happened.
type row struct {
	at    time.Duration // since the demo's start
	what  string
	list  string // what the client's list made of it
	calls string // what the calls made of it
}

// print shows the table and reports whether all went well.
func (b scoreboard) print(s *screen) (ok bool) {
	if len(b.rows) == 0 && len(b.left) == 0 {
		return true // no server ever came up, and why has been said
	}
	s.line("\n%s", s.paint(bold, fmt.Sprintf(rowFormat, "  time", "what happened", "the client's list", "the calls")))
	for _, r := range b.rows {
		at := fmt.Sprintf("%5.1fs", r.at.Seconds())
		s.line(rowFormat, at, r.what, r.list, r.calls)
	}
	if slices.ContainsFunc(b.rows, func(r row) bool { return strings.HasSuffix(r.list, "*") }) {
		s.line("  * A killed master can't say goodbye: its %s stays until %s has\n"+
			"    heard nothing from it for %v, the %s timeout.",
			b.kind.Entry, b.kind.Name, b.kind.Timeout, b.kind.Lease)
	}

	failed := s.paint(green, "0")
	if b.tally.failed > 0 {
		failed = s.paint(red, fmt.Sprint(b.tally.failed))
	}
	remain := s.paint(green, "no process")
	if len(b.left) > 0 {
		remain = s.paint(red, strings.Join(b.left, "\n               "))
	}
	s.line("\n  calls        %d; the slowest took %s", b.tally.calls, short(b.tally.slowest))
	s.line("  failed       %s", failed)
	for _, v := range b.servers {
		s.line("  server %s     %d answered, at %s", v.name, b.tally.answered[v.addr], v.addr)
	}
	s.line("  left behind  %s\n  duration     %s", remain, short(b.took))
	if b.tally.failed > 0 {
		s.line("\n%s The first: %v", s.paint(red, "Calls have failed."), b.tally.failure)
	}
	return b.tally.failed == 0 && len(b.left) == 0
}

// rowFormat makes 80 columns.
const rowFormat = "%s  %-27s  %-20s  %s"

// short writes a duration in few digits: 7 ms, 152 ms, 5.43 s.
func short(d time.Duration) string {
	if ms := d.Round(time.Millisecond).Milliseconds(); ms < 1000 {
		return fmt.Sprintf("%d ms", ms)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
