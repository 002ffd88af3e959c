// The trace behind a report: all that the harness did and saw in one test and
// what the programs logged, in the order of time. It is shown when a test has
// failed and -v asks for it, and where CI is set: nobody can ask again there.

package harness

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
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

// follow adds the lines of a program's output to the trace as they come, until
// the program's processes are gone. It looks a hundred times a second, which is how
// exact their times are.
func (p *Program) follow(name string) {
	file, err := os.Open(filepath.Join(p.dir, name))
	if err != nil {
		return
	}
	defer file.Close()
	in := bufio.NewReader(file)
	line := ""
	for ended := false; ; {
		part, err := in.ReadString('\n')
		if line += part; err == nil {
			saw(p.t, "%d %s: %s", p.PID, name, clip(strings.TrimSuffix(line, "\n")))
			line = ""
			continue
		}
		if ended {
			return
		}
		select {
		case <-p.gone:
			ended = true // read once more what was written until then
		case <-time.After(10 * time.Millisecond):
		}
	}
}
