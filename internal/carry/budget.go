// Counting: how much code a chapter adds. A budget is in statements: blank
// lines, split conditions and long literals cost nothing, so that nobody makes
// code denser to stay within it.

package carry

import (
	"fmt"
	"go/ast"
	"go/parser"
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
	Step       string // directory
	Name       string // "written" or "given"
	Files      []File // sorted by name
	Lines      int    // of code, in all files
	Statements int    // in all files
	Budget     int    // maximum of Statements; 0: as many as it takes
}

// A File is one file's name and how much code it has.
type File struct {
	Name       string
	Lines      int
	Statements int
}

// Count returns the new files of each step and how much code they have. Tests
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
			parts[j] = Part{Step: s.dir, Name: budget.Part, Budget: budget.Statements}
		}

		for _, name := range slices.Sorted(maps.Keys(s.files)) {
			if !carried(name) || specName.MatchString(name) || seen[name] {
				continue
			}
			seen[name] = true
			file, err := t.measure(s.dir, name)
			if err != nil {
				return nil, err
			}

			part := &parts[max(0, t.rules.budget(s.number, name))]
			part.Files = append(part.Files, file)
			part.Lines += file.Lines
			part.Statements += file.Statements
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
	fmt.Fprintf(table, "step\tnew code\tlines\tstatements\tbudget\tfiles (statements)\n")
	for _, part := range parts {
		var files []string
		for _, file := range part.Files {
			files = append(files, fmt.Sprintf("%s %d", file.Name, file.Statements))
		}
		budget := "-"
		if part.Budget > 0 {
			budget = fmt.Sprint(part.Budget)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n",
			part.Step, part.Name, part.Lines, part.Statements, budget, strings.Join(files, ", "))
	}

	fmt.Fprintf(table, "\nmain.go\tlines\tstatements\tgrowth\n")
	before := 0
	for _, s := range t.steps {
		if !s.files["main.go"] {
			continue
		}
		file, err := t.measure(s.dir, "main.go")
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%+d\n", s.dir, file.Lines, file.Statements, file.Statements-before)
		before = file.Statements
	}

	return table.Flush()
}

func (t *Tree) measure(dir, name string) (File, error) {
	source, err := os.ReadFile(filepath.Join(t.root, dir, name))
	if err != nil {
		return File{}, fmt.Errorf("measure code: %w", err)
	}
	statements, err := Statements(source)
	if err != nil {
		return File{}, fmt.Errorf("count the statements of %s: %w", filepath.Join(dir, name), err)
	}
	return File{Name: name, Lines: CodeLines(source), Statements: statements}, nil
}

// Statements counts the statements of Go source, nested ones too, and what is
// declared outside functions: each function, type, variable or constant,
// imports excepted. Braces alone are no statement. What stands in the head of
// an if, a for or a switch counts as it would on a line of its own.
func Statements(source []byte) (n int, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", source, 0)
	if err != nil {
		return 0, err
	}

	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			n++
		case *ast.GenDecl:
			if d.Tok != token.IMPORT {
				n += len(d.Specs)
			}
		}
	}

	ast.Inspect(file, func(node ast.Node) bool {
		switch node.(type) {
		case *ast.BlockStmt, *ast.EmptyStmt:
		case ast.Stmt:
			n++
		}
		return true
	})
	return n, nil
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
