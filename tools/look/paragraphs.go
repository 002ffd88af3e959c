// Paragraphs: a function of some length has blank lines between its thoughts.

package look

import (
	"go/ast"
	"slices"
)

// paragraphs looks at the body of a function; nil: there is none. A function in
// it is looked at by itself, and tables don't count: a reader takes them in as
// one thing.
func (l *look) paragraphs(body *ast.BlockStmt) {
	if body == nil {
		return
	}

	first, last := l.line(body.Lbrace)+1, l.line(body.Rbrace)-1
	tables := l.tables(body)
	var own []string
	for i := first; i <= last; i++ {
		if !tables[i] {
			own = append(own, l.lines[i-1])
		}
	}

	if len(own) > maxSolid && !slices.ContainsFunc(own, blank) {
		l.find(first-1, "a function of %d lines without a blank one: "+
			"from %d on there are blank lines between its thoughts (tables and functions in it aside)",
			len(own), maxSolid+1)
	}
}

// tables returns the lines of a body that don't count: what is inside of
// functions, composite literals, texts of several lines, and a switch or a
// select with no case of more than one line.
func (l *look) tables(body *ast.BlockStmt) map[int]bool {
	lines := map[int]bool{}
	ast.Inspect(body, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncLit:
			node = n.Body
		case *ast.CompositeLit, *ast.BasicLit:
		case *ast.SwitchStmt:
			node = l.table(n.Body)
		case *ast.TypeSwitchStmt:
			node = l.table(n.Body)
		case *ast.SelectStmt:
			node = l.table(n.Body)
		default:
			return true
		}

		if node == nil {
			return true
		}
		for i := l.line(node.Pos()) + 1; i < l.line(node.End()); i++ {
			lines[i] = true
		}
		return true
	})
	return lines
}

// table returns the body of a switch when it is a table, and else nil.
func (l *look) table(body *ast.BlockStmt) ast.Node {
	for _, clause := range body.List {
		var does []ast.Stmt
		switch c := clause.(type) {
		case *ast.CaseClause:
			does = c.Body
		case *ast.CommClause:
			does = c.Body
		}
		if len(does) > 1 || len(does) == 1 && l.line(does[0].Pos()) != l.line(does[0].End()) {
			return nil
		}
	}
	return body
}
