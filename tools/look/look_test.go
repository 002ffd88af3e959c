// Tests of the rules: each with code that follows it and code that doesn't.

package look

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A row is a piece of Go and what is found in it.
type row struct {
	name, source string
	want         []string // how each finding begins, with its line; none: all is well
}

func try(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		found, err := File("a.go", []byte("package a\n"+r.source))
		require.NoError(t, err, r.name)

		var got []string
		for i, f := range found {
			text := f.Text
			if i < len(r.want) {
				text = text[:min(len(text), len(r.want[i]))]
			}
			got = append(got, text)
			assert.Equal(t, 2, f.Line, "%s: the line of %q", r.name, f.Text)
		}
		assert.Equal(t, r.want, got, r.name)
	}
}

// comment returns one of that many columns.
func comment(columns int) string { return "// " + strings.Repeat("é", columns-3) }

func TestColumns(t *testing.T) {
	code := func(columns int) string { return "var a = `" + strings.Repeat("é", columns-10) + "`" }
	try(t, []row{
		{"at the end", code(120), nil},
		{"beyond", code(121), []string{"121 columns, and a line has up to 120 (a tab counts as 4): break it"}},
		{"a tab is four", "const (\n" + "\ta = 1\n)", nil},
		{"comments at their end", comment(80), nil},
		{"comments beyond", comment(81), []string{"a comment of 81 columns: wrap it at 80 (a tab counts as 4)"}},
		{"a comment behind code", "var a = 1 " + comment(110), nil},
		{"a comment behind code beyond", "var a = 1 " + comment(111), []string{"121 columns"}},
		{"a tab counts", "\t\t" + comment(73), []string{"a comment of 81 columns"}},
		{"a comment that is text", "var a = `" + "\n" + comment(100) + "`", nil},
		{"a directive", "//go:generate " + strings.Repeat("a", 90), nil},
		{"a URL", "// See https://example.com/" + strings.Repeat("a", 90), nil},
	})
}

func TestGroups(t *testing.T) {
	try(t, []row{
		{"six fields", "type a struct {\nb, c int\nd, e int\nf int\ng int\n}", nil},
		{"seven fields", "type a struct {\nb, c int\nd, e int\nf int\ng int\nh\n}", []string{
			"a struct of 7 fields: from 7 on they stand in groups, with blank lines between them",
		}},
		{"seven in groups", "type a struct {\nb, c int\nd, e int\n\nf int\ng int\nh\n}", nil},
	})
}

func TestHeads(t *testing.T) {
	const (
		changes = "a head that changes what was there before"
		does    = "a head that does something"
		hidden  = "a head whose condition begins with something else"
	)
	var rows []row
	for _, r := range []row{
		{"if err := f(); err != nil {}", "", nil},
		{"if err = f(); err != nil {}", "", nil},
		{"if _, err = f(); err != nil {}", "", nil},
		{"if v, ok := m[k]; ok && d {}", "", nil},
		{"if v, ok := m[k]; !ok || d {}", "", nil},
		{"if n := len(s); (n > 3 && d) {}", "", nil},
		{"switch n, err := f(); {\ncase err != nil:\n}", "", nil},
		{"switch v := v.(type) {}", "", nil},
		{"for i := 0; i < n; i++ {}", "", nil},
		{"for i, j := 0, n; i < j; i, j = i+1, j-1 {}", "", nil},
		{"for ; n > 0; n /= 2 {}", "", nil},
		{"for range n {}", "", nil},

		{"if x = append(x, 1); len(x) == 1 {}", "", []string{changes}},
		{"if v, err = f(); err != nil {}", "", []string{changes}},
		{"if s.err = f(); s.err != nil {}", "", []string{changes}},
		{"switch c.out = c.out[n:]; {}", "", []string{changes}},
		{"switch v = w; v := v.(type) {}", "", []string{changes}},
		{"for n = 0; n < 3; n++ {}", "", []string{"a loop whose head changes what was there before"}},
		{"if f(); a {}", "", []string{does}},
		{"if n++; n == 3 {}", "", []string{does}},
		{"switch n++; {}", "", []string{does}},
		{"for f(); a; n++ {}", "", []string{"a loop whose head changes what was there before"}},
		{"for ; a; time.Sleep(d) {}", "", []string{"a loop whose head calls something for its effect"}},
		{"if _, err := f(); a && err != nil {}", "", []string{hidden}},
		{"if v := f(); a {}", "", []string{hidden}},
	} {
		rows = append(rows, row{r.name, "func f() { " + r.name + " }", r.want})
	}
	try(t, rows)
}

func TestParagraphs(t *testing.T) {
	body := func(lines int) string { return strings.Repeat("f()\n", lines) }
	cases := strings.Repeat("case <-a:\ng()\n", 20)
	table := "g([]int{\n" + strings.Repeat("1,\n", 20) + "})\n"
	text := "g(`\n" + strings.Repeat("\n", 20) + "`)\n"
	solid := []string{"a function of 13 lines without a blank one"}

	try(t, []row{
		{"a dozen lines", "func f() {\n" + body(12) + "}", nil},
		{"more", "func f() {\n" + body(13) + "}", solid},
		{"more in two paragraphs", "func f() {\n" + body(6) + "\n" + body(6) + "}", nil},
		{"comments are lines", "func f() {\n// Why.\n" + body(12) + "}", solid},
		{"no body", "func f()", nil},
		{"a function in an expression", "var f = func() {\n" + body(13) + "}", solid},
		{"a function in a function", "func f() { g(func() {\n" + body(13) + "})\n}", solid},
		{"which has blank lines", "func f() { g(func() {\n" + body(6) + "\n" + body(6) + "})\n}", nil},
		{"but they aren't ours", "func f() {\n" + body(6) + "g(func() {\n\n})\n" + body(5) + "}", solid},
		{"a table", "func f() {\n" + body(10) + table + "}", nil},
		{"a long text", "func f() {\n" + body(10) + text + "}", nil},
		{"a switch of one-liners", "func f() {\n" + body(10) + "switch {\n" + cases + "}\n}", nil},
		{"another switch", "func f() {\nswitch {\ncase a:\n" + body(10) + "}\n}", solid},
		{"a select of one-liners", "func f() {\n" + body(10) + "select {\n" + cases + "}\n}", nil},
	})
}

func TestSourceThatDoesNotParse(t *testing.T) {
	_, err := File("a.go", []byte("package a\nfunc"))
	assert.ErrorContains(t, err, "a.go")
}

func TestTree(t *testing.T) {
	root := t.TempDir()
	long := comment(81) + "\n"
	for path, text := range map[string]string{
		"step1-a/a.go":        "package main\n" + long,
		"step2-b/a.go":        "package main\n" + long,
		"step2-b/b.go":        "package main\n" + long + long,
		"final/a.go":          "package rpc\n" + long,
		"final/b.go":          "package rpc\n" + long,
		"final/fine.go":       "package rpc\n",
		"other/testdata/a.go": "package other\n\n" + long,
		"_mine/a.go":          long,
		".git/a.go":           long,
		"a.txt":               long,
	} {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	}
	tree := func(paths ...string) []string {
		problems, err := Tree(root, paths...)
		require.NoError(t, err)
		for i, problem := range problems {
			problems[i] = strings.TrimSuffix(problem, ": a comment of 81 columns: wrap it at 80 (a tab counts as 4)")
		}
		return problems
	}

	assert.Equal(t, []string{
		"other/testdata/a.go:3", "step1-a/a.go:2", "step2-b/b.go:2", "step2-b/b.go:3", "final/b.go:2",
	}, tree())
	assert.Equal(t, []string{"step2-b/b.go:2", "step2-b/b.go:3"}, tree("step2-b", "step1-a/b.go"), "copies aside")
	assert.Equal(t, []string{"final/b.go:2"}, tree("./final/"))
}
