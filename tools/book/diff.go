// The difference between two files, as diff -u has it. It is our own, so that
// it is the same on every machine.

package book

import (
	"fmt"
	"strings"
)

// How many equal lines are shown around what differs.
const around = 3

// An edit is a line of a difference: sign is ' ', '-' or '+'.
type edit struct {
	sign byte
	line string
}

// unified returns the difference without the two lines that name the files;
// nothing if there is none.
func unified(from, to string) []string {
	edits := edits(splitLines(from), splitLines(to))
	var out []string
	old, new := 1, 1 // numbers of the present lines
	for i := 0; i < len(edits); {
		if edits[i].sign == ' ' {
			i, old, new = i+1, old+1, new+1
			continue
		}
		begin, end := max(0, i-around), hunkEnd(edits, i)
		old, new = old-(i-begin), new-(i-begin)
		wasOld, wasNew := old, new
		var body []string
		for _, e := range edits[begin:end] {
			body = append(body, strings.TrimRight(string(e.sign)+e.line, " "))
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

// hunkEnd returns where the hunk that has a change at i ends: changes with few
// equal lines between them are in one.
func hunkEnd(edits []edit, i int) int {
	last := i
	for ; i < len(edits) && i-last <= 2*around+1; i++ {
		if edits[i].sign != ' ' {
			last = i
		}
	}
	return min(last+1+around, len(edits))
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

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
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
