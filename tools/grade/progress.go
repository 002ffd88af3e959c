// Progress: a line for each submission that has been graded, and on a terminal
// one below them that says what is being asked.

package grade

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// progress tells how far a run is. Its methods may be called on any goroutine.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	of, done int
	asked    map[string]string // by whom: the milestone that is being asked
}

func newProgress(out io.Writer, of int) *progress {
	p := &progress{out: out, of: of, asked: map[string]string{}}
	file, ok := out.(*os.File)
	if ok {
		info, err := file.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// begin says that a submission is being built.
func (p *progress) begin(who string) { p.asks(who, "building") }

// asks says that a milestone is being asked.
func (p *progress) asks(who, number string) {
	if number == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[who] = number
	p.showNow()
}

// finish says what came of a submission. One that is old was graded by an
// earlier run.
func (p *progress) finish(r *Result, old bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.asked, r.Who)
	p.done++

	line := fmt.Sprintf("%d/%d  %s: %s", p.done, p.of, r.Who, r.summary())
	if old {
		line += " (as before)"
	} else {
		line += fmt.Sprintf(" (%d s)", int(r.Took.Round(time.Second).Seconds()))
	}
	p.clear()
	fmt.Fprintln(p.out, line)
	p.showNow()
}

// end removes the line of what is being asked.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) showNow() {
	if !p.terminal || len(p.asked) == 0 {
		return
	}
	var now []string
	for _, who := range slices.Sorted(maps.Keys(p.asked)) {
		now = append(now, who+" "+p.asked[who])
	}
	p.clear()
	fmt.Fprintf(p.out, "%d/%d  now %s", p.done, p.of, strings.Join(now, ", "))
}

// clear empties the terminal's line.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// summary says in a line what came of a submission.
func (r *Result) summary() string {
	text := fmt.Sprintf("%d of %d", len(r.With(Passed)), len(r.Verdicts))
	if r.Problem != "" {
		problem, _, _ := strings.Cut(r.Problem, "\n")
		return text + "; " + strings.TrimSuffix(problem, ":")
	}
	for _, status := range []Status{Failed, Skipped, Unreached} {
		if numbers := r.With(status); len(numbers) > 0 {
			text += fmt.Sprintf("; %s: %s", status, strings.Join(numbers, " "))
		}
	}
	return text
}
