// Package diff shows how two texts differ, as diff -u does. It is our own, so
// that it is the same on every machine: quoted in the chapters, counted by the
// gate of internal/carry, and shown by `make compare`.
package diff

import (
	"fmt"
	"strings"
)

// Around is how many equal lines are shown before and behind what differs.
const Around = 3

// An edit is a line of a difference: sign is ' ', '-' or '+'.
type edit struct {
	sign byte
	line string // with its end, if it has one
}

// Unified returns the lines of the hunks that make to of from, without the two
// that name the files; nil if the texts are equal. It takes memory for each
// pair of lines: it is for sources.
func Unified(from, to string) []string {
	edits := edits(split(from), split(to))

	var out []string
	old, new := 1, 1 // numbers of the present lines
	for i := 0; i < len(edits); {
		if edits[i].sign == ' ' {
			i, old, new = i+1, old+1, new+1
			continue
		}

		begin, end := max(0, i-Around), hunkEnd(edits, i)
		old, new = old-(i-begin), new-(i-begin)
		wasOld, wasNew := old, new
		var body []string
		for _, e := range edits[begin:end] {
			body = append(body, e.shown()...)
			if e.sign != '+' {
				old++
			}
			if e.sign != '-' {
				new++
			}
		}

		out = append(out, fmt.Sprintf("@@ -%s +%s @@", span(wasOld, old), span(wasNew, new)))
		out = append(out, body...)
		i = end
	}
	return out
}

// Named returns the difference under the names of the two texts, without an end
// of the last line; "" if they are equal.
func Named(fromName, toName, from, to string) string {
	hunks := Unified(from, to)
	if hunks == nil {
		return ""
	}
	return fmt.Sprintf("--- %s\n+++ %s\n%s", fromName, toName, strings.Join(hunks, "\n"))
}

// Changed returns how many lines of a difference are removed or added.
func Changed(unified []string) (n int) {
	for _, line := range unified {
		if strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+") {
			n++
		}
	}
	return n
}

// shown returns the line as it is written. An empty one that both texts have
// stays empty.
func (e edit) shown() []string {
	line, ended := strings.CutSuffix(e.line, "\n")
	switch {
	case !ended:
		return []string{string(e.sign) + line, `\ No newline at end of file`}
	case e.sign == ' ' && line == "":
		return []string{""}
	}
	return []string{string(e.sign) + line}
}

// hunkEnd returns where the hunk that has a change at i ends: changes with few
// equal lines between them are in one.
func hunkEnd(edits []edit, i int) int {
	last := i
	for ; i < len(edits) && i-last <= 2*Around+1; i++ {
		if edits[i].sign != ' ' {
			last = i
		}
	}
	return min(last+1+Around, len(edits))
}

// span is a range of lines as a hunk's head has it.
func span(begin, end int) string {
	switch end - begin {
	case 0:
		return fmt.Sprintf("%d,0", begin-1)
	case 1:
		return fmt.Sprint(begin)
	}
	return fmt.Sprintf("%d,%d", begin, end-begin)
}

// split cuts a text into its lines, with their ends.
func split(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" { // behind the end of the last line
		lines = lines[:last]
	}
	return lines
}

// edits makes b of a, and keeps as much of a as it can.
func edits(a, b []string) []edit {
	// kept[i][j] is what can be kept of a[i:] in b[j:], weighed.
	kept := make([][]int, len(a)+1)
	for i := range kept {
		kept[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			kept[i][j] = max(kept[i+1][j], kept[i][j+1])
			if a[i] == b[j] {
				kept[i][j] = max(kept[i][j], weight(a[i])+kept[i+1][j+1])
			}
		}
	}

	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j] && kept[i][j] == weight(a[i])+kept[i+1][j+1]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || kept[i+1][j] >= kept[i][j+1]):
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}

// weight says how much it matters to keep a line: an empty one, or a bracket
// alone, is like many others, and to keep it shouldn't tear others apart.
func weight(line string) int {
	if len(strings.TrimSpace(line)) <= 1 {
		return 1
	}
	return 4
}
