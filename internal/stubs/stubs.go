// Package stubs makes the files that a reader begins a chapter with: each has
// the names that the chapter's text uses, with their comments, and nothing
// behind them. So the program compiles from the first minute.
//
// Make makes them from the step's own sources. Nothing that the text doesn't
// name gets in, unless what it names needs it.
package stubs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
)

// Make returns the stubs of source files, which are of one package, by name.
// used tells which names the reader needs, taken which ones are declared in a
// file that he has already: they get in nowhere.
func Make(sources map[string]string, used, taken map[string]bool) (map[string]string, error) {
	m := &maker{set: token.NewFileSet(), used: used, taken: taken, wanted: maps.Clone(used), has: map[ast.Decl]bool{}}
	m.wanted["main"] = true
	for name, text := range sources {
		file, err := parser.ParseFile(m.set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("make a stub: %w", err)
		}
		m.files = append(m.files, &source{name: name, text: text, file: file})
	}
	m.find()

	made := map[string]string{}
	for _, s := range m.files {
		text, err := m.write(s)
		if err != nil {
			return nil, fmt.Errorf("make a stub of %s: %w", s.name, err)
		}
		made[s.name] = text
	}
	return made, nil
}

// A source is one file.
type source struct {
	name, text string
	file       *ast.File
}

type maker struct {
	set    *token.FileSet
	files  []*source
	used   map[string]bool   // by the reader
	taken  map[string]bool   // declared elsewhere
	wanted map[string]bool   // the same, and what that needs
	has    map[ast.Decl]bool // what gets in
}

// find decides what gets in: what is used, and again and again whatever that
// needs.
func (m *maker) find() {
	for more := true; more; {
		more = false
		for _, s := range m.files {
			for _, decl := range s.file.Decls {
				if m.has[decl] || !m.isNeeded(decl) {
					continue
				}

				more = true
				m.has[decl] = true
				m.need(head(decl))
			}
		}
	}
}

// isNeeded tells whether anybody uses what a declaration declares. Of a type
// that is used, strangers may use all exported methods.
func (m *maker) isNeeded(decl ast.Decl) bool {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return m.wanted[d.Name.Name] && !m.taken[d.Name.Name]
		}
		return m.wanted[receiver(d)] && (d.Name.IsExported() || m.used[d.Name.Name])

	case *ast.GenDecl:
		return slices.ContainsFunc(d.Specs, func(spec ast.Spec) bool {
			return slices.ContainsFunc(names(spec), func(name string) bool { return m.wanted[name] && !m.taken[name] })
		})
	}
	return false
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) (name string) {
	ast.Inspect(d.Recv.List[0].Type, func(node ast.Node) bool {
		if id, ok := node.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return true
	})
	return name
}

// names returns what a part of a declaration declares for the package.
func names(spec ast.Spec) (all []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		all = append(all, s.Name.Name)
	case *ast.ValueSpec:
		for _, id := range s.Names {
			all = append(all, id.Name)
		}
	}
	return all
}

// isTaken tells a part of a declaration that is elsewhere, too.
func (m *maker) isTaken(spec ast.Spec) bool {
	return slices.ContainsFunc(names(spec), func(name string) bool { return m.taken[name] })
}

// head returns what is left of a declaration: all but the body of a function.
func head(decl ast.Decl) ast.Node {
	if d, ok := decl.(*ast.FuncDecl); ok {
		return d.Type
	}
	return decl
}

// need notes the names that a node takes from elsewhere in the package.
func (m *maker) need(node ast.Node) {
	ast.Inspect(node, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.Ident:
			m.wanted[n.Name] = true
		case *ast.SelectorExpr:
			m.need(n.X) // the rest is another package's, or a field
		case *ast.KeyValueExpr:
			m.need(n.Value)

		case *ast.StructType:
			for _, f := range n.Fields.List {
				if !m.isIdle(f) {
					m.need(f.Type)
				}
			}

		case *ast.Field:
			m.need(n.Type)
		default:
			return true
		}
		return false
	})
}

// isIdle tells a field of a struct that nobody uses.
func (m *maker) isIdle(f *ast.Field) bool {
	return len(f.Names) > 0 && !slices.ContainsFunc(f.Names, func(id *ast.Ident) bool {
		return id.IsExported() || m.used[id.Name]
	})
}
