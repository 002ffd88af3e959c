// Adding stubs to a file that is there: the main.go of the chapter before.

package stubs

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"strconv"
	"strings"
)

// Extend returns have, the text of a file, with stubs added of what the reader
// needs of its later text, and what have doesn't declare, which is taken.
func Extend(have, later string, used, taken map[string]bool) (string, error) {
	m := &maker{set: token.NewFileSet(), used: used, taken: taken, wanted: maps.Clone(used), has: map[ast.Decl]bool{}}
	var files [2]*source
	for i, text := range []string{have, later} {
		file, err := parser.ParseFile(m.set, "main.go", text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return "", fmt.Errorf("add stubs: %w", err)
		}
		files[i] = &source{name: "main.go", text: text, file: file}
	}
	m.files = files[1:]
	m.find()
	if len(m.has) == 0 {
		return have, nil
	}

	from := m.offset(files[0].file.Name.End())
	top := have[:from]
	var body strings.Builder
	for _, decl := range files[0].file.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.IMPORT {
			body.WriteString(have[from:m.offset(d.Pos())])
			from = m.offset(d.End())
		}
	}
	body.WriteString(have[from:])

	for _, decl := range files[1].file.Decls {
		if m.has[decl] {
			body.WriteString("\n" + m.declaration(files[1], decl) + "\n")
		}
	}

	var paths []string
	for _, s := range files {
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			paths = append(paths, path)
		}
	}

	imports, err := declareImports(paths, top+"\n"+body.String())
	if err != nil {
		return "", fmt.Errorf("add stubs: %w", err)
	}
	made, err := format.Source([]byte(top + "\n" + imports + body.String()))
	return string(made), err
}
