// Writing a stub: the texts of the declarations that get in, without what is
// behind them.

package stubs

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// write returns the stub of a file.
func (m *maker) write(s *source) (string, error) {
	var body strings.Builder
	for _, decl := range s.file.Decls {
		if m.has[decl] {
			body.WriteString("\n" + m.declaration(s, decl) + "\n")
		}
	}

	paths := []string{"fmt", "os"} // which the stub of main needs
	for _, spec := range s.file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, path)
	}
	top := s.text[:m.offset(s.file.Name.End())] + "\n"
	imports, err := declareImports(paths, top+body.String())
	if err != nil {
		return "", err
	}
	made, err := format.Source([]byte(top + imports + body.String()))
	return string(made), err
}

func (m *maker) offset(pos token.Pos) int { return m.set.Position(pos).Offset }

// declaration returns the text of one declaration.
func (m *maker) declaration(s *source, decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		text := s.text[m.offset(begin(d, d.Doc)):m.offset(d.Body.Lbrace)]

		if d.Recv == nil && d.Name.Name == "main" {
			return text + "{\n\tfmt.Fprintln(os.Stderr, \"not written yet\")\n\tos.Exit(1)\n}"
		}

		name := d.Name.Name
		if d.Recv != nil {
			name = receiver(d) + "." + name
		}
		return text + fmt.Sprintf("{ panic(%q) }", name+" is not written yet")
	case *ast.GenDecl:
		return m.without(s, d)
	}
	return ""
}

// begin is where a declaration, or a field, begins, with its comment.
func begin(node ast.Node, doc *ast.CommentGroup) token.Pos {
	if doc != nil {
		return doc.Pos()
	}
	return node.Pos()
}

// without returns a declaration's text without what is declared elsewhere and
// the fields that nobody uses, and with the comment behind its last line.
func (m *maker) without(s *source, d *ast.GenDecl) string {
	var text strings.Builder
	from := m.offset(begin(d, d.Doc))
	cut := func(node ast.Node, doc *ast.CommentGroup) {
		text.WriteString(s.text[from:m.offset(begin(node, doc))])
		from = s.lineEnd(m.offset(node.End()))
	}

	ast.Inspect(d, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.ValueSpec:
			if m.isTaken(n) {
				cut(n, n.Doc)
			}
			return false

		case *ast.StructType:
			for _, f := range n.Fields.List {
				if m.isIdle(f) && m.line(n.Pos()) < m.line(n.End()) {
					cut(f, f.Doc)
				}
			}
			return false
		}
		return true
	})
	text.WriteString(s.text[from:s.lineEnd(m.offset(d.End()))])
	return text.String()
}

func (m *maker) line(pos token.Pos) int { return m.set.Position(pos).Line }

// lineEnd returns the offset of the end of a line.
func (s *source) lineEnd(from int) int {
	if n := strings.IndexByte(s.text[from:], '\n'); n >= 0 {
		return from + n
	}
	return len(s.text)
}

// declareImports returns the declaration that imports those of the paths that
// the text of a file needs.
func declareImports(paths []string, text string) (string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if id, ok := selector.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return true
	})

	var standard, others []string
	for _, p := range slices.Compact(slices.Sorted(slices.Values(paths))) {
		switch {
		case !used[path.Base(p)]:
		case strings.Contains(p, "."):
			others = append(others, strconv.Quote(p))
		default:
			standard = append(standard, strconv.Quote(p))
		}
	}

	lines := strings.TrimSpace(strings.Join(standard, "\n") + "\n\n" + strings.Join(others, "\n"))
	switch {
	case lines == "":
		return "", nil
	case !strings.Contains(lines, "\n"):
		return "\nimport " + lines + "\n", nil
	}
	return "\nimport (\n" + lines + "\n)\n", nil
}
