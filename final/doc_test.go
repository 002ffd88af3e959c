// What doc.go promises of the package.

//go:build unix

package rpc

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sources returns the package's files, by name, without its tests.
func sources(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)

	set, files := token.NewFileSet(), make(map[string]*ast.File)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files[name] = file
	}
	return set, files
}

func TestOnlyWhatIsForCommandLinesEndsTheProgram(t *testing.T) {
	set, files := sources(t)
	ends := regexp.MustCompile(`^(os\.Exit|syscall\.Exit|Exit|log\.Fatal.*|runtime\.Goexit)$`)
	var found []string
	for name, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}

			var called string
			switch f := call.Fun.(type) {
			case *ast.Ident:
				called = f.Name
			case *ast.SelectorExpr:
				if x, ok := f.X.(*ast.Ident); ok {
					called = x.Name + "." + f.Sel.Name
				}
			}
			if ends.MatchString(called) {
				found = append(found, name)
				t.Log(set.Position(call.Pos()), called)
			}
			return true
		})
	}
	assert.ElementsMatch(t, []string{"args.go", "process.go"}, found, "UsageError and Exit")
}

// A comment in a struct that stands above no field, as a heading does, is left
// out by go doc.
func TestDocShowsAllCommentsOnFields(t *testing.T) {
	set, files := sources(t)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}

			shown := make(map[*ast.CommentGroup]bool)
			var lastExported token.Pos // the position of the last field of which go doc tells
			for _, field := range fields.Fields.List {
				shown[field.Doc], shown[field.Comment] = true, true
				if len(field.Names) > 0 && field.Names[0].IsExported() {
					lastExported = field.Pos()
				}
			}
			for _, comment := range file.Comments {
				inside := comment.Pos() > fields.Pos() && comment.End() < lastExported
				assert.False(t, inside && !shown[comment], "%s: go doc doesn't show this", set.Position(comment.Pos()))
			}
			return true
		})
	}
}

func TestDocNamesEveryFileAndOnlyWhatThereIs(t *testing.T) {
	set, files := sources(t)
	text := files["doc.go"].Doc.Text()
	systems := regexp.MustCompile(`_(linux|other|unix|epoll|poll)\.go$`)
	for name := range files {
		if name == "doc.go" || name == "poller.go" || systems.MatchString(name) { // a system's part of another file
			continue
		}
		assert.True(t, strings.Contains(text, name), "doc.go's map has no %s", name)
	}

	var all []*ast.File
	for _, file := range files {
		all = append(all, file)
	}
	pkg, err := doc.NewFromFiles(set, all, "example.com/rpcworkbook/final")
	require.NoError(t, err)
	assert.NotEmpty(t, pkg.Doc)

	links := regexp.MustCompile(`\[([A-Z][A-Za-z.]*)\]`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, links)
	parser := pkg.Parser()
	for _, link := range links {
		receiver, name, isMethod := strings.Cut(link[1], ".")
		if !isMethod {
			receiver, name = "", receiver
		}
		assert.True(t, parser.LookupSym(receiver, name), "%s", link[0])
	}
	for _, name := range regexp.MustCompile(`[a-z_]+\*?\.go\b`).FindAllString(text, -1) {
		found, err := filepath.Glob(name)
		require.NoError(t, err)
		assert.NotEmpty(t, found, name)
	}
}
