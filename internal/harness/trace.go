// The trace behind a report: all that the harness did and saw in one test and
// what the programs logged, in the order of time. It is shown when a test has
// failed and -v asks for it, and where CI is set: nobody can ask again there.

package harness

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// tracing tells whether anybody will see the traces.
func tracing() bool { return testing.Verbose() || os.Getenv("CI") != "" }

// A trace keeps its beginning and its end: tests send thousands of frames.
type trace struct {
	first, last []string
	dropped     int
}

const mostFirst, mostLast = 100, 300

func (tr *trace) add(at time.Duration, what string) {
	if !tracing() {
		return
	}

	line := fmt.Sprintf("%8.3fs  %s", at.Seconds(), strings.ReplaceAll(what, "\n", "\n           "))
	if len(tr.first) < mostFirst {
		tr.first = append(tr.first, line)
		return
	}

	tr.last = append(tr.last, line)
	if len(tr.last) > 2*mostLast { // not one by one: that would copy all of them each time
		tr.dropped += len(tr.last) - mostLast
		tr.last = append([]string(nil), tr.last[len(tr.last)-mostLast:]...)
	}
}

func (tr *trace) String() string {
	lines := tr.first
	if tr.dropped > 0 {
		lines = append(lines, fmt.Sprintf("           … (%d lines)", tr.dropped))
	}
	return strings.Join(append(lines, tr.last...), "\n")
}
