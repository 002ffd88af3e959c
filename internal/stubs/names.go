// Which names a reader meets: in the code that a text has, and in Go sources.

package stubs

import (
	"go/scanner"
	"go/token"
	"regexp"
	"strings"
)

var (
	fence      = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	span       = regexp.MustCompile("`[^`\n]+`")
	identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
)

// InText adds to names the identifiers that the code in a text of Markdown has.
func InText(names map[string]bool, text string) {
	spans := span.FindAllString(fence.ReplaceAllString(text, ""), -1)
	for _, code := range append(fence.FindAllString(text, -1), spans...) {
		for _, name := range identifier.FindAllString(code, -1) {
			names[name] = true
		}
	}
}

// InGo adds to names the identifiers of Go source.
func InGo(names map[string]bool, source string) {
	set := token.NewFileSet()
	var tokens scanner.Scanner
	tokens.Init(set.AddFile("", set.Base(), len(source)), []byte(source), nil, 0)
	for {
		_, tok, text := tokens.Scan()
		if tok == token.EOF {
			return
		}
		if tok == token.IDENT {
			names[text] = true
		}
	}
}

var tests = regexp.MustCompile(`[\w{},/.-]*_test\.go`)

// Tests returns the names of the test files that a text names in its code; of
// several in braces, as the shell takes them, all.
func Tests(text string) (names []string) {
	for _, path := range tests.FindAllString(text, -1) {
		before, list, ok := strings.Cut(path, "{")
		list, after, _ := strings.Cut(list, "}")
		if !ok {
			names = append(names, path[strings.LastIndexByte(path, '/')+1:])
			continue
		}

		before = before[strings.LastIndexByte(before, '/')+1:]
		for name := range strings.SplitSeq(list, ",") {
			names = append(names, before+name+after)
		}
	}
	return names
}
