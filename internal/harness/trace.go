// The trace behind a report: all that the harness did and saw in one test and
// what the programs logged, in the order of time. It is shown when a test has
// failed and -v asks for it, and where CI is set: nobody can ask again there.

package harness

import (
	"bufio"
	"fmt"
	"io"
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

// A follower adds the lines of a program's standard error to the trace.
type follower struct {
	p    *Program
	read int64  // bytes so far
	line string // the beginning of a line that is still coming
}

// run adds lines as they come, until the process that was started has ended. It
// looks a hundred times a second, which is how exact the lines' times are.
// Between two looks it has no file open: tests count them.
func (f *follower) run() {
	for {
		f.catchUp()
		select {
		case <-f.p.group.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (f *follower) catchUp() {
	file, err := os.Open(filepath.Join(f.p.dir, "stderr"))
	if err != nil {
		return
	}
	defer file.Close()
	if _, err := file.Seek(f.read, io.SeekStart); err != nil {
		return
	}

	in := bufio.NewReader(file)
	for {
		part, err := in.ReadString('\n')
		f.read += int64(len(part))
		f.line += part
		if err != nil {
			return
		}
		saw(f.p.t, "%d stderr: %s", f.p.PID, clip(strings.TrimSuffix(f.line, "\n")))
		f.line = ""
	}
}
