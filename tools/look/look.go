// Package look checks how Go code looks, as far as a program can see it: the
// width of lines and comments, paragraphs, what the head of a statement does,
// groups of fields. It is a part of `make check`. The rules are few, and each
// finding says what to do; what reads well is still a matter of judgement.
//
// Begin with File, which looks at one file, and Tree, which looks at many.
package look

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxColumns = 120 // of a line
	maxComment = 80  // columns of a line that holds nothing but a comment
	tabColumns = 4   // that a tab counts
	maxSolid   = 12  // lines of a function without a blank one
	maxFields  = 6   // of a struct without groups
)

// A Finding is one place that should look otherwise.
type Finding struct {
	Line int
	Text string // what is the matter and what to do
}

// File returns what is to be mended in the source of one Go file, from top to
// bottom. Source that doesn't parse is an error.
func File(name string, source []byte) ([]Finding, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("look at Go code: %w", err)
	}

	l := &look{set: set, lines: strings.Split(string(source), "\n")}
	l.columns()
	l.comments(file)
	ast.Inspect(file, func(node ast.Node) bool {
		l.node(node)
		return true
	})

	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return l.found, nil
}

// A look is one at one file.
type look struct {
	set   *token.FileSet
	lines []string
	found []Finding
}

func (l *look) find(line int, format string, args ...any) {
	l.found = append(l.found, Finding{Line: line, Text: fmt.Sprintf(format, args...)})
}

// line returns the number of a position's line, from 1.
func (l *look) line(pos token.Pos) int { return l.set.Position(pos).Line }

// node looks at one node of the file's syntax tree.
func (l *look) node(node ast.Node) {
	switch n := node.(type) {
	case *ast.FuncDecl:
		l.paragraphs(n.Body)
	case *ast.FuncLit:
		l.paragraphs(n.Body)
	case *ast.StructType:
		l.groups(n)
	case *ast.IfStmt:
		l.head(n.Init, n.Cond)
	case *ast.SwitchStmt:
		l.head(n.Init, nil)
	case *ast.TypeSwitchStmt:
		l.head(n.Init, nil)
	case *ast.ForStmt:
		l.loop(n)
	}
}

// columns looks at the width of all lines.
func (l *look) columns() {
	for i, line := range l.lines {
		if n := columns(line); n > maxColumns {
			l.find(i+1, "%d columns, and a line has up to %d (a tab counts as %d): break it", n, maxColumns, tabColumns)
		}
	}
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
}

// unwrapped are comments that can't be wrapped: directives, and what holds a
// URL.
var unwrapped = regexp.MustCompile(`^\s*//[a-z]+:|\S://\S`)

// comments looks at the width of comments that have their lines to themselves.
func (l *look) comments(file *ast.File) {
	for _, group := range file.Comments {
		for i := l.line(group.Pos()); i <= l.line(group.End()); i++ {
			line := l.lines[i-1]
			n := columns(line)
			alone := strings.HasPrefix(strings.TrimSpace(line), "//")
			if alone && n > maxComment && !unwrapped.MatchString(line) {
				l.find(i, "a comment of %d columns: wrap it at %d (a tab counts as %d)", n, maxComment, tabColumns)
			}
		}
	}
}

// groups looks at the fields of a struct.
func (l *look) groups(s *ast.StructType) {
	n := s.Fields.NumFields()
	first, last := l.line(s.Fields.Opening), l.line(s.Fields.Closing)
	if n > maxFields && !slices.ContainsFunc(l.lines[first-1:last], blank) {
		l.find(first, "a struct of %d fields: from %d on they stand in groups, with blank lines between them",
			n, maxFields+1)
	}
}

func blank(line string) bool { return strings.TrimSpace(line) == "" }
