// Quoting some lines of a file.

package book

import (
	"fmt"
	"strings"
)

// quote returns the lines of a file from the one that contains start: through
// the next one that contains end, or, if end is "", through the one that closes
// the block that the first line opens. Their common indentation is taken off.
func quote(file, start, end string) ([]string, error) {
	lines := strings.Split(strings.TrimSuffix(file, "\n"), "\n")
	first, err := find(lines, start)
	if err != nil {
		return nil, err
	}

	last := first
	switch {
	case end != "":
		last++
		for last < len(lines) && !strings.Contains(lines[last], end) {
			last++
		}
		if last == len(lines) {
			return nil, fmt.Errorf("no line after line %d contains the END %q", first+1, end)
		}
	case opens(lines[first]):
		margin := indentation(lines[first])
		last++
		for last < len(lines) && !closes(lines[last], margin) {
			last++
		}
		if last == len(lines) {
			return nil, fmt.Errorf("the block that line %d opens isn't closed by a line that is as far to the right: "+
				"say where it ends, as a second string", first+1)
		}
	}

	return outdent(lines[first : last+1]), nil
}

// find returns the one line that contains start. Where several do, it is the
// one that has nothing else.
func find(lines []string, start string) (int, error) {
	var containing, equal []int
	for i, line := range lines {
		if strings.Contains(line, start) {
			containing = append(containing, i)
		}
		if strings.TrimSpace(line) == strings.TrimSpace(start) {
			equal = append(equal, i)
		}
	}

	switch {
	case len(containing) == 1:
		return containing[0], nil
	case len(equal) == 1 && len(containing) > 0:
		return equal[0], nil
	case len(containing) == 0:
		return 0, fmt.Errorf("no line contains the START %q: look whether it was renamed", start)
	}

	numbers := make([]string, len(containing))
	for i, line := range containing {
		numbers[i] = fmt.Sprint(line + 1)
	}
	return 0, fmt.Errorf("the START %q is in %d lines (%s): write more of the one that you mean", start,
		len(containing), strings.Join(numbers, ", "))
}

// opens reports whether a line of Go opens a block.
func opens(line string) bool {
	line, _, _ = strings.Cut(line, "// ")
	line = strings.TrimSpace(line)
	return strings.HasSuffix(line, "{") || strings.HasSuffix(line, "(")
}

// closes reports whether a line closes the block of a line that is indented by
// margin. One that goes on, such as "} else {", doesn't.
func closes(line, margin string) bool {
	rest, ok := strings.CutPrefix(line, margin)
	return ok && (strings.HasPrefix(rest, "}") || strings.HasPrefix(rest, ")")) && !opens(rest)
}

func indentation(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

// outdent takes the common indentation off.
func outdent(lines []string) []string {
	common, found := "", false
	for _, line := range lines {
		margin := indentation(line)
		switch {
		case margin == line: // empty
		case !found:
			common, found = margin, true
		default:
			for !strings.HasPrefix(margin, common) {
				common = common[:len(common)-1]
			}
		}
	}

	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimRight(strings.TrimPrefix(line, common), " \t")
	}
	return out
}
