// The heads of statements: what happens there but isn't seen there.

package look

import (
	"go/ast"
	"go/token"
)

const oneLine = "one effect, one line: put it in front of the statement"

// head looks at the init statement of an if or a switch. What is new there
// must be what the condition is about, as in `v, err := f(); err != nil` and
// `v, ok := m[k]; ok`. A switch has no condition to look at: cond is nil.
func (l *look) head(init ast.Stmt, cond ast.Expr) {
	if init == nil {
		return
	}
	assign, ok := init.(*ast.AssignStmt)
	if !ok {
		l.find(l.line(init.Pos()), "a head that does something: %s", oneLine)
		return
	}

	names := targets(assign)
	switch {
	case names == nil:
		l.find(l.line(init.Pos()), "a head that changes what was there before: %s", oneLine)
	case cond != nil && !mentions(first(cond), names):
		l.find(l.line(init.Pos()), "a head whose condition begins with something else than what is assigned in it: "+
			"assign it in front of the statement, or ask for it first")
	}
}

// loop looks at the head of a for.
func (l *look) loop(loop *ast.ForStmt) {
	assign, ok := loop.Init.(*ast.AssignStmt)
	if loop.Init != nil && (!ok || targets(assign) == nil) {
		l.find(l.line(loop.Pos()), "a loop whose head changes what was there before: %s", oneLine)
	}
	if call, ok := loop.Post.(*ast.ExprStmt); ok {
		l.find(l.line(call.Pos()), "a loop whose head calls something for its effect: "+
			"make that the last line of the body")
	}
}

// targets returns the names of the variables that an assignment makes; `err =`
// is as idiomatic as `err :=`. It is nil when something else is assigned to.
func targets(s *ast.AssignStmt) map[string]bool {
	names := map[string]bool{}
	for _, target := range s.Lhs {
		name, ok := target.(*ast.Ident)
		if !ok {
			return nil
		}
		names[name.Name] = true
	}
	delete(names, "_")

	if s.Tok != token.DEFINE && !(len(names) == 1 && names["err"]) {
		return nil
	}
	return names
}

// first returns what a condition asks first.
func first(cond ast.Expr) ast.Expr {
	switch c := cond.(type) {
	case *ast.ParenExpr:
		return first(c.X)
	case *ast.BinaryExpr:
		if c.Op == token.LAND || c.Op == token.LOR {
			return first(c.X)
		}
	}
	return cond
}

// mentions reports whether one of those names is in an expression.
func mentions(expr ast.Expr, names map[string]bool) (found bool) {
	ast.Inspect(expr, func(node ast.Node) bool {
		name, ok := node.(*ast.Ident)
		found = found || ok && names[name.Name]
		return true
	})
	return found
}
