// Counting: how many lines of code a chapter adds.

package carry

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// A Part is the new code of one step, or a part of it with its own budget.
type Part struct {
	Step   string // directory
	Name   string // "written" or "given"
	Files  []File // sorted by name
	Lines  int    // of code, in all files
	Budget int    // most lines allowed; 0: as many as it takes
}

// A File is one file's name and its lines of code.
type File struct {
	Name  string
	Lines int
}

// Count returns the new files of each step and their lines of code. Tests
// don't count, nor does main.go, which is wiring.
func (t *Tree) Count() ([]Part, error) {
	var all []Part
	seen := map[string]bool{}
	for _, s := range t.steps {
		budgets := t.rules.Budgets[s.number]
		if budgets == nil {
			budgets = []Budget{{Part: "written"}}
		}
		parts := make([]Part, len(budgets))
		for j, budget := range budgets {
			parts[j] = Part{Step: s.dir, Name: budget.Part, Budget: budget.Lines}
		}
		for _, name := range slices.Sorted(maps.Keys(s.files)) {
			if !carried(name) || specName.MatchString(name) || seen[name] {
				continue
			}
			seen[name] = true
			lines, err := t.lines(s.dir, name)
			if err != nil {
				return nil, err
			}
			part := &parts[max(0, t.rules.budget(s.number, name))]
			part.Files = append(part.Files, File{Name: name, Lines: lines})
			part.Lines += lines
		}
		all = append(all, parts...)
	}
	return all, nil
}

// WriteBudget writes the table of all chapters, and how main.go grows.
func (t *Tree) WriteBudget(w io.Writer) error {
	parts, err := t.Count()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "step\tnew code\tlines\tbudget\tfiles\n")
	for _, part := range parts {
		var files []string
		for _, file := range part.Files {
			files = append(files, fmt.Sprintf("%s %d", file.Name, file.Lines))
		}
		budget := "-"
		if part.Budget > 0 {
			budget = fmt.Sprint(part.Budget)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\n", part.Step, part.Name, part.Lines, budget, strings.Join(files, ", "))
	}
	fmt.Fprintf(table, "\nmain.go\tlines\tgrowth\n")
	before := 0
	for _, s := range t.steps {
		if !s.files["main.go"] {
			continue
		}
		lines, err := t.lines(s.dir, "main.go")
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%d\t%+d\n", s.dir, lines, lines-before)
		before = lines
	}
	return table.Flush()
}

func (t *Tree) lines(dir, name string) (int, error) {
	source, err := os.ReadFile(filepath.Join(t.root, dir, name))
	if err != nil {
		return 0, fmt.Errorf("count lines: %w", err)
	}
	return CodeLines(source), nil
}

// CodeLines counts the lines of Go source that hold code: not the blank ones
// and not those with nothing but comment. A string of several lines counts
// with all of them.
func CodeLines(source []byte) int {
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(source))
	var tokens scanner.Scanner
	tokens.Init(file, source, nil, 0) // mode 0 skips comments
	code := map[int]bool{}
	for {
		pos, tok, text := tokens.Scan()
		switch {
		case tok == token.EOF:
			return len(code)
		case tok == token.SEMICOLON && text == "\n":
			continue // put in at the end of a line by the scanner
		}
		first := file.Line(pos)
		for line := range strings.Count(text, "\n") + 1 {
			code[first+line] = true
		}
	}
}
