// Finding what can be broken: each mutant is a place in a file and the text
// that is put around it.

package mutate

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// A Mutant is one way to break one place of a program.
type Mutant struct {
	ID           int // from 1
	File         string
	Line, Column int
	What         string // such as "left out: c.timer.Stop()"
}

// String is how a mutant is listed, below the directory of its package.
func (m Mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.What) }

// A finder walks through one file.
type finder struct {
	pkg   *packages.Package
	name  string // of the file
	text  []byte // its source
	file  *ast.File
	first int // the ID of its first mutant

	found []Mutant
	edits []edit

	last map[ast.Stmt]bool // statements that end a function with results, which must stay
	done map[ast.Expr]bool // constants that are a part of one that was found
}

// find finds the mutants of the file, and the edits that put all of them in.
func (f *finder) find() {
	f.last, f.done = map[ast.Stmt]bool{}, map[ast.Expr]bool{}
	ast.PreorderStack(f.file, nil, func(node ast.Node, above []ast.Node) bool {
		f.inside(node, above)
		f.itself(node, above)
		if e, ok := node.(ast.Expr); ok {
			f.constant(e, above)
		}
		return !isConstantByNature(node)
	})
}

// inside breaks what a node has in it: its statements, its conditions.
func (f *finder) inside(node ast.Node, above []ast.Node) {
	switch n := node.(type) {
	case *ast.FuncDecl:
		f.function(n.Type, n.Body)
	case *ast.FuncLit:
		f.function(n.Type, n.Body)

	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
		if isTagless(above[len(above)-2]) {
			for _, e := range n.List {
				f.condition(e)
			}
		}
	case *ast.CommClause:
		f.statements(n.Body)

	case *ast.IfStmt:
		f.condition(n.Cond)
	case *ast.ForStmt:
		f.condition(n.Cond)
	}
}

// itself breaks a node as a whole.
func (f *finder) itself(node ast.Node, above []ast.Node) {
	switch n := node.(type) {
	case *ast.ReturnStmt:
		f.results(n, above)
	case *ast.BinaryExpr:
		f.comparison(n)
		f.operands(n)
	}
}

// isConstantByNature tells where only a constant may stand.
func isConstantByNature(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.GenDecl:
		return n.Tok != token.VAR
	case *ast.ArrayType, *ast.StructType, *ast.InterfaceType:
		return true
	}
	return false
}

// isTagless recognizes a switch whose cases are conditions.
func isTagless(node ast.Node) bool {
	sw, ok := node.(*ast.SwitchStmt)
	return ok && sw.Tag == nil
}

// add takes down a mutant: text before and after the node, in which %d is its
// number.
func (f *finder) add(node ast.Node, before, after, what string) {
	at := f.pkg.Fset.Position(node.Pos())
	id := f.first + len(f.found)
	f.found = append(f.found, Mutant{ID: id, File: f.name, Line: at.Line, Column: at.Column, What: what})
	f.wrap(node, fmt.Sprintf(before, id), after)
}

// wrap puts text before and after a node.
func (f *finder) wrap(node ast.Node, before, after string) {
	n := len(f.edits)
	f.edits = append(f.edits,
		edit{at: f.offset(node.Pos()), order: n, text: before},
		edit{at: f.offset(node.End()), order: -n, text: after, closing: true})
}

func (f *finder) offset(pos token.Pos) int { return f.pkg.Fset.Position(pos).Offset }

// source returns a node's text on one line, which is cut if it is long.
func (f *finder) source(node ast.Node) string {
	const limit = 70
	text := strings.Join(strings.Fields(string(f.text[f.offset(node.Pos()):f.offset(node.End())])), " ")
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + " …"
	}
	return text
}

// function looks for the statements with which a function that has results
// ends: without one of them it wouldn't compile.
func (f *finder) function(signature *ast.FuncType, body *ast.BlockStmt) {
	if body == nil || signature.Results == nil {
		return
	}

	var end func(list []ast.Stmt)
	end = func(list []ast.Stmt) {
		if len(list) == 0 {
			return
		}
		last := list[len(list)-1]
		f.last[last] = true

		ast.Inspect(last, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.BlockStmt:
				end(n.List)
			case *ast.CaseClause:
				end(n.Body)
			case *ast.CommClause:
				end(n.Body)
			case *ast.FuncLit, *ast.ForStmt, *ast.RangeStmt:
				return false
			}
			return true
		})
	}
	end(body.List)
}

// statements leaves out each statement of a list that declares nothing.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		if f.canGo(s) {
			f.add(s, "if mutantOff(%d) { ", " }", "left out: "+f.source(s))
		}
	}
}

func (f *finder) canGo(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt:
		return !f.last[s] && !isLock(s.X)
	case *ast.DeferStmt:
		return !isLock(s.Call)
	case *ast.AssignStmt:
		return s.Tok != token.DEFINE

	case *ast.ReturnStmt:
		return !f.last[s]
	case *ast.BranchStmt:
		return s.Tok != token.FALLTHROUGH
	case *ast.SendStmt, *ast.IncDecStmt, *ast.GoStmt:
		return true
	}
	return false
}

// isLock recognizes half of a pair: without it, everything stands still or
// panics at once, and tests can't miss that.
func isLock(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock"}, method.Sel.Name)
}

// condition negates a condition; of one that is put together, operands leaves
// out each part.
func (f *finder) condition(e ast.Expr) {
	if e == nil || f.value(e) != nil {
		return
	}
	if b, ok := ast.Unparen(e).(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR) {
		return
	}
	f.add(e, "mutantNot(%d, ", ")", "negated: "+f.source(e))
}

// operands leaves out each side of an "and" and an "or".
func (f *finder) operands(e *ast.BinaryExpr) {
	helper := map[token.Token]string{token.LAND: "mutantTrue", token.LOR: "mutantFalse"}[e.Op]
	if helper == "" {
		return
	}
	for _, side := range []ast.Expr{e.X, e.Y} {
		if b, ok := ast.Unparen(side).(*ast.BinaryExpr); !ok || b.Op != e.Op {
			f.add(side, helper+"(%d, ", ")", "left out of "+e.Op.String()+": "+f.source(side))
		}
	}
}

// beside has the comparison that differs from another by one, and helper what
// does either.
var (
	beside = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}
	helper = map[token.Token]string{
		token.LSS: "Less", token.LEQ: "LessEqual", token.GTR: "Greater", token.GEQ: "GreaterEqual",
	}
)

// comparison moves a comparison of whole numbers by one.
func (f *finder) comparison(e *ast.BinaryExpr) {
	basic, ok := f.pkg.TypesInfo.TypeOf(e.X).Underlying().(*types.Basic)
	if beside[e.Op] == "" || !ok || basic.Info()&types.IsInteger == 0 || f.value(e) != nil || f.isDuration(e.X) {
		return
	}

	f.add(e, "mutant"+helper[e.Op]+"(%d, ", ")", fmt.Sprintf("%s in place of %s: %s", beside[e.Op], e.Op, f.source(e)))
	f.edits = append(f.edits, edit{at: f.offset(e.OpPos), cut: len(e.Op.String()), text: ","})
}

// isDuration tells times, of which no test can tell two neighbours.
func (f *finder) isDuration(e ast.Expr) bool {
	return types.TypeString(f.pkg.TypesInfo.TypeOf(e), nil) == "time.Duration"
}

// value returns the value of a constant, nil for anything else.
func (f *finder) value(e ast.Expr) constant.Value { return f.pkg.TypesInfo.Types[e].Value }

// results changes what a function returns: yes to no, and all else to nothing.
func (f *finder) results(s *ast.ReturnStmt, above []ast.Node) {
	types := f.signature(above).Results()
	if len(s.Results) == 0 || types.Len() != len(s.Results) {
		return // none, or those of another function
	}

	last := types.Len() - 1
	_, isCall := s.Results[last].(*ast.CallExpr) // as in return n, errors.New("…")
	fails := isCall && isError(types.At(last).Type())
	for i, e := range s.Results {
		isError := isError(types.At(i).Type())
		if i != last && fails || isError && f.canGo(s) {
			continue // nobody looks at what comes with an error; without the statement there is none
		}
		f.result(e, types.At(i).Type())
	}
}

// signature returns that of the function that all this is in.
func (f *finder) signature(above []ast.Node) *types.Signature {
	for _, node := range slices.Backward(above) {
		switch n := node.(type) {
		case *ast.FuncDecl:
			return f.pkg.TypesInfo.Defs[n.Name].Type().(*types.Signature)
		case *ast.FuncLit:
			return f.pkg.TypesInfo.TypeOf(n).(*types.Signature)
		}
	}
	panic("a return outside of any function")
}

// result changes one thing that is returned as something of that type.
func (f *finder) result(e ast.Expr, as types.Type) {
	switch {
	case f.value(e) != nil || isEmpty(e):
	case types.Identical(as, types.Typ[types.Bool]):
		f.condition(e)
	case isError(as):
		f.add(e, "mutantNothing[error](%d, ", ")", "returns no error: "+f.source(e))
	case types.Identical(as, f.pkg.TypesInfo.TypeOf(e)):
		f.add(e, "mutantNothing(%d, ", ")", "returns nothing: "+f.source(e))
	}
}

func isError(t types.Type) bool { return types.TypeString(t, nil) == "error" }

// isEmpty recognizes what is nothing already.
func isEmpty(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "nil"
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	}
	return false
}

// constant changes a constant that stands for itself: one that is written
// there, or declared in this package.
func (f *finder) constant(e ast.Expr, above []ast.Node) {
	value := f.value(e)
	if value == nil || f.done[e] || !f.isOurs(e) || !f.mayVary(e, above) {
		return
	}
	ast.Inspect(e, func(node ast.Node) bool {
		if part, ok := node.(ast.Expr); ok {
			f.done[part] = true
		}
		return true
	})

	typ := f.pkg.TypesInfo.TypeOf(e)
	basic, ok := typ.Underlying().(*types.Basic)
	name, known := f.nameOf(typ)
	switch {
	case !ok || !known || basic.Info()&types.IsUntyped != 0:
	case basic.Info()&types.IsBoolean != 0:
		f.add(e, "mutantNot["+name+"](%d, ", ")", fmt.Sprintf("%s is %v", f.source(e), !constant.BoolVal(value)))
	case f.isDuration(e):
		if constant.Sign(value) == 0 {
			return
		}
		f.add(e, "mutantNothing["+name+"](%d, ", ")", f.source(e)+" is 0")
		f.add(e, "mutantTenfold["+name+"](%d, ", ")", f.source(e)+" is ten times as long")
	case basic.Info()&types.IsInteger != 0:
		f.add(e, "mutantMore["+name+"](%d, ", ")", f.source(e)+" is one more")
	}
}

// isOurs tells whether a constant has a part that this package decides.
func (f *finder) isOurs(e ast.Expr) (ours bool) {
	ast.Inspect(e, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.BasicLit:
			ours = true
		case *ast.Ident:
			c, ok := f.pkg.TypesInfo.Uses[n].(*types.Const)
			ours = ours || ok && (c.Pkg() == f.pkg.Types || c.Pkg() == nil) // nil: true and false
		}
		return true
	})
	return ours
}

// mayVary tells whether something that is no constant may stand in this place,
// and no other mutant does much the same.
func (f *finder) mayVary(e ast.Expr, above []ast.Node) bool {
	switch parent := above[len(above)-1].(type) {
	case *ast.CaseClause:
		return false // two cases would be the same
	case *ast.KeyValueExpr:
		return parent.Key != e
	case *ast.BinaryExpr:
		return parent.Op != token.SHL && parent.Op != token.SHR && beside[parent.Op] == ""
	case *ast.AssignStmt:
		return parent.Tok == token.DEFINE // the others are left out
	case *ast.SelectorExpr:
		return false // of a package or a constant: the whole is looked at
	}
	return true
}

// nameOf returns what a type is called in this file.
func (f *finder) nameOf(t types.Type) (name string, ok bool) {
	named, isNamed := t.(*types.Named)
	if !isNamed || named.Obj().Pkg() == f.pkg.Types {
		return types.TypeString(t, types.RelativeTo(f.pkg.Types)), true
	}
	for _, spec := range f.file.Imports {
		if strings.Trim(spec.Path.Value, `"`) == named.Obj().Pkg().Path() && spec.Name == nil {
			return named.Obj().Pkg().Name() + "." + named.Obj().Name(), true
		}
	}
	return "", false
}
