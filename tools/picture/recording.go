// Package picture draws what the README shows: a recording of the demo, from
// what it printed, and how pi converges, as the service computes it. Both are
// SVG: the same figures give the same bytes.
package picture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Recording is what a command printed, and when.
type Recording struct {
	Command string
	Lines   []Line
}

// A Line came after a time since the start, and never before the line above.
type Line struct {
	At   time.Duration
	Text string
}

// clock is how the demo begins a line about what has just happened.
var clock = regexp.MustCompile(`^ {0,4}([0-9]+\.[0-9])s  `)

// ReadTranscript reads what the demo printed into a file. A line without a
// clock came with the one above. So did those of the table at the end, whose
// times are of things past. It fails if no line has a clock: then it is
// something else.
func ReadTranscript(r io.Reader, command string) (Recording, error) {
	recording := Recording{Command: command}

	var now time.Duration
	var clocks bool

	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text := strings.TrimRight(lines.Text(), " ")
		if match := clock.FindStringSubmatch(text); match != nil {
			clocks = true
			seconds, err := strconv.ParseFloat(match[1], 64)
			if err != nil {
				return Recording{}, fmt.Errorf("read the transcript: %q: %w", text, err)
			}
			now = max(now, time.Duration(seconds*1000)*time.Millisecond)
		}

		recording.Lines = append(recording.Lines, Line{At: now, Text: text})
	}

	if err := lines.Err(); err != nil {
		return Recording{}, fmt.Errorf("read the transcript: %w", err)
	}
	if !clocks {
		return Recording{}, errors.New("read the transcript: " +
			"no line begins with a time, as in `  0.3s  `: is it of the demo?")
	}
	return recording, nil
}
