// The tables: Markdown whose columns are aligned, so that the same text can be
// read in a terminal and pasted into a text.

package figures

import (
	"strings"
	"unicode/utf8"
)

// names is how many columns of a table say what was measured. They are aligned
// left, and the figures behind them right.
const names = 2

// A Table has a heading and rows of as many cells.
type Table struct {
	Title   string
	Heading []string
	Rows    [][]string
}

// String returns the table below its title.
func (t Table) String() string {
	lines := append([][]string{t.Heading}, t.Rows...)
	widths := make([]int, len(t.Heading))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}

	var out strings.Builder
	out.WriteString("**" + t.Title + "**\n\n")
	for i, line := range lines {
		writeLine(&out, line, widths)
		if i == 0 {
			writeLine(&out, rule(widths), widths)
		}
	}
	return out.String()
}

// rule is the line below the heading, which says how columns are aligned.
func rule(widths []int) (cells []string) {
	for i, width := range widths {
		if i < names {
			cells = append(cells, strings.Repeat("-", width))
		} else {
			cells = append(cells, strings.Repeat("-", width-1)+":")
		}
	}
	return cells
}

func writeLine(out *strings.Builder, cells []string, widths []int) {
	for i, cell := range cells {
		gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i < names {
			out.WriteString("| " + cell + gap + " ")
		} else {
			out.WriteString("| " + gap + cell + " ")
		}
	}
	out.WriteString("|\n")
}
