// Looking at Go sources: which there are, and what they declare.

package chapter

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
)

// sources returns the names of the directory's Go files that are no tests,
// sorted.
func sources(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
	}
	return names, err
}

// declared returns the names that a Go file declares for its whole package. Of
// a file that is no Go, or isn't there, it returns as much as can be made out.
func declared(path string) map[string]bool {
	text, _ := os.ReadFile(path)
	return declaredIn(string(text))
}

// declaredIn is declared for the text of a file.
func declaredIn(text string) map[string]bool {
	names := map[string]bool{}
	file, _ := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if file == nil {
		return names
	}

	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				names[decl.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names[name.Name] = true
					}
				}
			}
		}
	}

	delete(names, "_")
	delete(names, "init") // may be declared many times
	return names
}
