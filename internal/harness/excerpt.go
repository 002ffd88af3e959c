// Excerpts: what a report shows of a long text.

package harness

import (
	"fmt"
	"slices"
	"strings"
)

// How many lines a report shows of a text that has more. What explains an end
// may be said first, as in Go and Node, or last, as in Python.
const (
	excerptFirst = 5
	excerptLast  = 3
	excerptLine  = 300 // bytes of a line
)

// How many lines of a longer one are shown where somebody looks for more.
const mostFirst, mostLast = 100, 300

// whereMore says how to see more than an excerpt.
func whereMore() string {
	switch {
	case tracing():
		return ", see below"
	case strings.HasPrefix(targets.again, "make "):
		return "; V=1 shows more of them"
	}
	return "; -v shows more of them"
}

// excerpt returns the first and the last lines of a text without its line end,
// long ones cut short, and between them how many there are more.
func excerpt(text string) string {
	return shorten(text, excerptFirst, excerptLast, whereMore())
}

// listing returns a text as it is shown where somebody looks for more than an
// excerpt.
func listing(text string) string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		text = "(nothing)"
	}
	return "    " + strings.ReplaceAll(shorten(text, mostFirst, mostLast, ""), "\n", "\n    ")
}

// shorten returns so many lines of a text's beginning and of its end. If there
// are others, a line between them says how many, and where.
func shorten(text string, first, last int, where string) string {
	lines := strings.Split(text, "\n")
	if more := len(lines) - first - last; more > 1 { // else the line that says so would take as much
		lines = slices.Replace(lines, first, first+more, fmt.Sprintf("… (%d lines more%s)", more, where))
	}
	for i, line := range lines {
		lines[i] = clipTo(line, excerptLine)
	}
	return strings.Join(lines, "\n")
}
