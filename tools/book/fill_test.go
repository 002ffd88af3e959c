// Tests of quotes and diffs in texts.

package book

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sourceFile = `package a

// Loop turns.
type Loop struct {
	n int // turns

	m int
}

func (l *Loop) Run() error {
	for {
		if l.n > 0 { // often
			l.n--
		} else {
			return nil
		}
	}
}

func Long(
	a int,
) error {
	return call(func() {
		go other()
	})
}

const one = 1
const oneMore = 1
`

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	return root
}

// ticks lets a Go string have backquotes.
func ticks(text string) string { return strings.ReplaceAll(text, "'''", "```") }

func TestQuote(t *testing.T) {
	for _, c := range []struct{ name, start, end, want string }{
		{"a block", "type Loop struct", "", "type Loop struct {\n\tn int // turns\n\n\tm int\n}"},
		{"one line", "n int", "", "n int // turns"},
		{"the indentation is taken off", "for {", "",
			"for {\n\tif l.n > 0 { // often\n\t\tl.n--\n\t} else {\n\t\treturn nil\n\t}\n}"},
		{"a block that goes on", "if l.n", "", "if l.n > 0 { // often\n\tl.n--\n} else {\n\treturn nil\n}"},
		{"a signature of several lines", "func Long(", "",
			"func Long(\n\ta int,\n) error {\n\treturn call(func() {\n\t\tgo other()\n\t})\n}"},
		{"brackets of both kinds", "return call(", "", "return call(func() {\n\tgo other()\n})"},
		{"with an end", "// Loop turns", "n int", "// Loop turns.\ntype Loop struct {\n\tn int // turns"},
		{"the end isn't in the first line", "l.n > 0", "l.n", "if l.n > 0 { // often\n\tl.n--"},
		{"one of several lines that has nothing else", "return nil", "", "return nil"},
		{"a comment opens nothing", "// Loop", "", "// Loop turns."},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := quote(sourceFile, c.start, c.end)
			require.NoError(t, err)
			assert.Equal(t, c.want, strings.Join(got, "\n"))
		})
	}
	for _, c := range []struct{ name, start, end, want string }{
		{"no such line", "func Stop", "", `no line contains the START "func Stop"`},
		{"two such lines", "one", "", `the START "one" is in 2 lines (28, 29): write more`},
		{"no such end", "func Long(", "for {", `no line after line 20 contains the END "for {"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := quote(strings.Replace(sourceFile, "oneMore", "onemore", 1), c.start, c.end)
			assert.ErrorContains(t, err, c.want)
		})
	}
	_, err := quote("if a {\n", "if a", "")
	assert.ErrorContains(t, err, "the block that line 1 opens isn't closed")
}

func TestFill(t *testing.T) {
	files := map[string]string{"ch/a.go": sourceFile, "ch/b.go": "one\n", "other/b.go": "two\n",
		"other/c.md": "'''sh\nls\n'''\n", "Makefile": "all:\n"}
	for name, text := range files {
		files[name] = ticks(text)
	}
	root := tree(t, files)
	for _, c := range []struct{ name, text, want string }{
		{"a fence that is right", "A\n\n<!-- quote b.go \"one\" -->\n'''go\none\n'''\nB\n",
			"A\n\n<!-- quote b.go \"one\" -->\n'''go\none\n'''\nB\n"},
		{"another content", "<!-- quote b.go \"one\" -->\n'''go\n1\n\n2\n'''\nB\n",
			"<!-- quote b.go \"one\" -->\n'''go\none\n'''\nB\n"},
		{"an empty fence", "<!-- quote b.go \"one\" -->\n'''go\n'''\n",
			"<!-- quote b.go \"one\" -->\n'''go\none\n'''\n"},
		{"no fence", "<!-- quote b.go \"one\" -->\n\nB\n'''sh\nls\n'''\n",
			"<!-- quote b.go \"one\" -->\n'''go\none\n'''\n\nB\n'''sh\nls\n'''\n"},
		{"no fence, at the end", "<!-- quote ../Makefile \"all\" -->\n",
			"<!-- quote ../Makefile \"all\" -->\n'''make\nall:\n'''\n"},
		{"a diff", "<!-- diff ../other/b.go b.go -->\n",
			"<!-- diff ../other/b.go b.go -->\n'''diff\n@@ -1 +1 @@\n-two\n+one\n'''\n"},
		{"in a list", "- item\n\n  <!-- quote a.go \"type Loop\" -->\n  '''go\n  x\n  '''\n",
			"- item\n\n  <!-- quote a.go \"type Loop\" -->\n  '''go\n  type Loop struct {\n  \tn int // turns\n\n" +
				"  \tm int\n  }\n  '''\n"},
		{"a fence in what is quoted", "<!-- quote ../other/c.md \"'''sh\" \"'''\" -->\n",
			"<!-- quote ../other/c.md \"'''sh\" \"'''\" -->\n''''text\n'''sh\nls\n'''\n''''\n"},
		{"a marker in a fence is none", "'''markdown\n<!-- quote b.go \"one\" -->\n'''\n",
			"'''markdown\n<!-- quote b.go \"one\" -->\n'''\n"},
		{"a replay is left alone", "<!-- replay -->\n'''console\n$ ls\n'''\n",
			"<!-- replay -->\n'''console\n$ ls\n'''\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// An escaped fence is longer than the one it stands in.
			doc := Parse("ch/README.md", strings.ReplaceAll(ticks(c.text), "'", "`"))
			want := strings.ReplaceAll(ticks(c.want), "'", "`")

			got, problems := doc.Fill(root)
			assert.Empty(t, problems)
			assert.Equal(t, want, got)

			stale := doc.Stale(root)
			if c.text == c.want {
				assert.Empty(t, stale)
			} else {
				require.Len(t, stale, 1)
				assert.Contains(t, stale[0], "`make readme`")
			}
			assert.Empty(t, Parse("ch/README.md", got).Stale(root), "what was filled is right")
		})
	}
}

func TestMarkersThatAreWrong(t *testing.T) {
	root := tree(t, map[string]string{"ch/a.go": sourceFile, "bin/x": "1", "ch/b.go": "one\n", "ch/c.go": "one\n"})
	for _, c := range []struct{ name, text, want string }{
		{"no file", "A\n\n<!-- quote z.go \"x\" -->\n", "ch/README.md:3: the marker's file z.go isn't there"},
		{"a file outside", "<!-- quote ../../z.go \"x\" -->\n",
			"ch/README.md:1: the marker's file ../../z.go is no part of the workbook"},
		{"a file that git doesn't have", "<!-- quote ../bin/x \"x\" -->\n", "../bin/x is no part of the workbook"},
		{"no line", "<!-- quote a.go \"nowhere\" -->\n",
			"ch/README.md:1: quote a.go: no line contains the START \"nowhere\""},
		{"no START", "<!-- quote a.go -->\n", "this marker must be <!-- quote FILE \"START\" --> or"},
		{"half a string", "<!-- quote a.go \"x -->\n", "this marker must be <!-- quote FILE"},
		{"one file", "<!-- diff a.go -->\n", "this marker must be <!-- diff FROM TO -->"},
		{"no difference", "<!-- diff b.go c.go -->\n", "b.go and c.go are the same"},
		{"more than one line", "<!-- quote a.go\n\"x\" -->\n", "a marker is one line"},
		{"more in its line", "<!-- replay --> this\n'''console\n'''\n", "a marker is one line"},
		{"a fence too far away", "<!-- quote a.go \"x\" -->\n\n'''go\n'''\n", "the fence must stand directly below"},
		{"nothing to replay", "<!-- replay -->\n", "there is no fence below this marker"},
		{"a misspelt one", "<!-- qoute a.go \"x\" -->\n'''go\n'''\n", "is taken for a marker, and is none"},
		{"an open fence", "A\n'''go\nB\n", "ch/README.md:2: this fence isn't closed"},
		{"an open comment", "A\n<!-- B\n", "ch/README.md:2: this comment isn't closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := Parse("ch/README.md", ticks(c.text))
			content, problems := doc.Fill(root)
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0], c.want)
			assert.Equal(t, ticks(c.text), content, "what can't be filled stays")
			assert.Equal(t, problems, doc.Stale(root))
		})
	}
}

func TestStaleShowsWhatWouldChange(t *testing.T) {
	root := tree(t, map[string]string{"a.go": "one\n"})
	doc := Parse("README.md", ticks("A\n<!-- quote a.go \"one\" -->\n'''go\n1\n'''\n"))
	assert.Equal(t, []string{"README.md:2: the fence below <!-- quote a.go \"one\" --> isn't what the file says: " +
		"type `make readme`, which would change\n" + ticks("@@ -1,3 +1,3 @@\n '''go\n-1\n+one\n '''")}, doc.Stale(root))
}

func TestLoadLeavesOutWhatGitDoesNotHave(t *testing.T) {
	root := tree(t, map[string]string{
		"b.md": "b", "a/c.md": "c", "a/binary/d.md": "d", "a/e.txt": "e", "a/bin/x.md": "x",
		"bin/x.md": "x", "_mine/x.md": "x", ".git/x.md": "x", "a/_old/x.md": "x",
	})
	docs, err := Load(root)
	require.NoError(t, err)
	var paths []string
	for _, doc := range docs {
		paths = append(paths, doc.Path)
	}
	assert.Equal(t, []string{"a/binary/d.md", "a/c.md", "b.md"}, paths)
}

func TestFillWritesWhatHasChanged(t *testing.T) {
	root := tree(t, map[string]string{
		"a.go": "one\n", "ch/a.go": "two\n", "right.md": ticks("<!-- quote a.go \"one\" -->\n'''go\none\n'''\n"),
		"ch/README.md": "<!-- quote a.go \"two\" -->\n<!-- quote z.go \"x\" -->",
		"_mine/x.md":   "<!-- quote ../a.go \"one\" -->\n",
	})

	written, problems, err := Fill(root)
	require.NoError(t, err)
	assert.Equal(t, []string{"ch/README.md"}, written)
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0], "ch/README.md:2: the marker's file z.go isn't there")

	text, err := os.ReadFile(filepath.Join(root, "ch/README.md"))
	require.NoError(t, err)
	assert.Equal(t, ticks("<!-- quote a.go \"two\" -->\n'''go\ntwo\n'''\n<!-- quote z.go \"x\" -->\n"), string(text))

	written, _, err = Fill(root)
	require.NoError(t, err)
	assert.Empty(t, written, "the second time there is nothing to do")
}
