// Texts in the source of a specification: they are what a reader is shown.

package carry

import (
	"go/ast"
	"go/token"
	"strconv"
)

// Text returns the text that an expression is: a string literal, or several
// with + between them. Of any other expression ok is false.
func Text(expr ast.Expr) (text string, ok bool) {
	switch e := expr.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isLeft := Text(e.X)
		right, isRight := Text(e.Y)
		return left + right, isLeft && isRight && e.Op == token.ADD
	}
	return "", false
}
