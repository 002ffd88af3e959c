// Grading a class, with a specification that takes a second.

package grade

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/chapter"
	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) {
	Inside()
	os.Exit(harness.Main(m))
}

// serverSource is a little server that is right, or wrong as flags say.
const serverSource = "../../internal/harness/testdata/server"

// newClass returns a class with no submissions that is asked the fake
// specification.
func newClass(t *testing.T) *Class {
	t.Helper()
	root, err := filepath.Abs("testdata/workbook")
	require.NoError(t, err)
	return classOf(t, root, carry.Rules{})
}

func classOf(t *testing.T, root string, rules carry.Rules) *Class {
	t.Helper()
	book, err := chapter.Open(root, rules, io.Discard)
	require.NoError(t, err)
	return &Class{Book: book, Root: root, Step: "1", From: t.TempDir(), Out: t.TempDir(),
		Jobs: 2, Limit: 2 * time.Minute, Say: &bytes.Buffer{}}
}

// put puts a file into a submission.
func (c *Class) put(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(c.From, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
}

// server puts the little server into a submission, and the command that starts
// it with these flags.
func (c *Class) server(t *testing.T, who, flags string) {
	t.Helper()
	text, err := os.ReadFile(harness.Build(t, serverSource))
	require.NoError(t, err)
	c.put(t, who+"/server", string(text))
	c.put(t, who+"/command", "./server "+flags+" {host} {port}\n")
}

// grade grades the class, and returns what came of it by name.
func (c *Class) grade(t *testing.T) map[string]*Result {
	t.Helper()
	results, err := c.Grade(context.Background())
	require.NoError(t, err)
	by := map[string]*Result{}
	for _, r := range results {
		by[r.Who] = r
	}
	return by
}

func TestClass(t *testing.T) {
	c := newClass(t)
	main, err := os.ReadFile(filepath.Join(serverSource, "main.go"))
	require.NoError(t, err)
	c.put(t, "ann/_mine/main.go", string(main))
	c.put(t, "ann/_mine/go.mod", "module ann\n\ngo 1.26\n")
	c.server(t, "ben", "-ignore")
	c.put(t, "cleo/main.go", "package main\n\nfunc main() { x }\n")
	c.put(t, "cleo/go.mod", "module cleo\n")
	c.put(t, "dan/notes", "I was ill.\n")
	c.put(t, "eve/command", "exit 7 # {host} {port}\n")
	c.put(t, "not-a-directory", "")

	by := c.grade(t)
	require.Len(t, by, 5)
	assert.Equal(t, "4 of 4", by["ann"].summary(), "%+v", by["ann"])
	assert.Equal(t, "2 of 4; failed: 1.3; skipped: 1.4", by["ben"].summary())
	assert.Contains(t, by["ben"].Verdicts[2].Report, "✗ 1.3 SIGTERM ends it\n  did       ")
	assert.Contains(t, by["ben"].Verdicts[2].Report,
		"\n  usually   it ignores that\n  again     make try STEP=1 ONLY=1.3")
	assert.Contains(t, by["ben"].Verdicts[3].Report, "not asked: there is no {grace}")
	assert.Equal(t, "0 of 4; it doesn't compile", by["cleo"].summary())
	assert.Contains(t, by["cleo"].Problem, "main.go:3:15: undefined: x")
	assert.Contains(t, by["dan"].summary(), "0 of 4; there is no Go program in it or in _mine, nor a file command")
	assert.Equal(t, "0 of 4; failed: 1.1; skipped: 1.2 1.3 1.4", by["eve"].summary())
	assert.Contains(t, by["eve"].Verdicts[1].Report, "not asked: the server did not start, see 1.1")

	file, err := os.Open(filepath.Join(c.Out, "grades.csv"))
	require.NoError(t, err)
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 6)
	assert.Equal(t, []string{"ben", "2", "4", "1.3", "1.4", ""}, lines[2][:6])
	assert.Regexp(t, `^it doesn.t compile: .*main.go:3:15: undefined: x$`, lines[3][7])
	page, err := os.ReadFile(filepath.Join(c.Out, "ben", "report.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "# ben, chapter 1\n\n2 of 4 milestones passed, in ")
	assert.Contains(t, string(page), "| ✗ | 1.3 SIGTERM ends it |\n")
	assert.Contains(t, string(page), "## 1.3 failed\n\n    ✗ 1.3 SIGTERM ends it\n")
	assert.Contains(t, string(page), "\nThe run as a picture: [picture-1.3.html](picture-1.3.html)\n")
	picture := read(t, c.Out, "ben", "picture-1.3.html")
	assert.Contains(t, picture, `<h1 class="failed">1.3 SIGTERM ends it</h1>`)
	assert.Contains(t, picture, "here it failed: expected ")
	assert.Regexp(t, "SIGTERM to pid [0-9]+", picture)
	pictures, err := filepath.Glob(filepath.Join(c.Out, "*", "picture-*"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(c.Out, "ben", "picture-1.3.html"),
		filepath.Join(c.Out, "eve", "picture-1.1.html")}, pictures)
	assert.Contains(t, fmt.Sprint(c.Say), "5/5  ")
}

func TestARunGoesOnWhereItWas(t *testing.T) {
	c := newClass(t)
	c.Jobs = 1
	c.server(t, "ann", "")
	c.server(t, "ben", "")
	ctx, interrupt := context.WithCancel(context.Background())
	c.Say = writer(func(text string) {
		if strings.Contains(text, "ann") {
			interrupt() // ben has not been asked, or half
		}
	})
	_, err := c.Grade(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.NoFileExists(t, filepath.Join(c.Out, "grades.csv"))

	run := func() string {
		said := &bytes.Buffer{}
		c.Say = said
		c.grade(t)
		return said.String()
	}
	assert.Regexp(t, `(?m)^1/2  ann: 3 of 4; .* \(as before\)\n2/2  ben: 3 of 4; .* \(\d+ s\)\n$`, run())
	c.server(t, "ann", "-ignore")
	assert.Regexp(t, `(?m)^1/2  ann: 2 of 4; .* \(\d+ s\)\n2/2  ben: .* \(as before\)\n$`, run(), "who hands in again")
	run()
	assert.FileExists(t, filepath.Join(c.Out, "ann", "picture-1.3.html"), "as before")
	c.server(t, "ann", "")
	run()
	assert.NoFileExists(t, filepath.Join(c.Out, "ann", "picture-1.3.html"), "of what doesn't fail any more")
	c.Limit += time.Second
	assert.NotContains(t, run(), "as before")
}

// writer is a function that takes what is written.
type writer func(text string)

func (w writer) Write(text []byte) (int, error) { w(string(text)); return len(text), nil }

func TestTheFirstChapter(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	c := classOf(t, root, carry.Workbook())
	files, err := filepath.Glob(filepath.Join(root, "step1-framing", "*.go"))
	require.NoError(t, err)

	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if !strings.HasSuffix(file, "_test.go") {
			c.put(t, "ann/"+filepath.Base(file), string(text))
		}
	}

	assert.Equal(t, "19 of 19", c.grade(t)["ann"].summary())
}
