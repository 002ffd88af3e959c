// Tests of make compare.

package chapter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compare runs make compare on chapter 2 with what the reader has.
func compare(t *testing.T, his map[string]string, color bool) (said string, err error) {
	t.Helper()
	root := t.TempDir()
	write(t, root, small)
	for name, text := range his {
		write(t, root, map[string]string{"_mine/" + name: text})
	}
	b, out := open(t, root, smallRules)
	err = b.Compare(b.chapters[1], color)
	return out.String(), err
}

func ours() map[string]string {
	return map[string]string{
		"a.go": small["step2-b/a.go"], "b.go": small["step2-b/b.go"],
		"given.go": small["step2-b/given.go"], "main.go": small["step2-b/main.go"],
	}
}

func TestCompareTheSame(t *testing.T) {
	his := ours()
	his["a_test.go"] = "package main\n"
	his["bin"] = "x"
	said, err := compare(t, his, true)
	require.NoError(t, err)
	assert.Equal(t, "no difference: _mine and step2-b are the same program\n", said)
}

func TestCompareDifferences(t *testing.T) {
	his := ours()
	his["main.go"] = "package main\n\nfunc main() { b{} }\n"
	his["mine.go"] = "package main\n"
	his["more.go"] = ""
	delete(his, "b.go")
	delete(his, "a.go")
	const want = `--- _mine/main.go
+++ step2-b/main.go
@@ -1,3 +1,3 @@
 package main

-func main() { b{} }
+func main() { a(); _ = b{} }
only in _mine: mine.go, more.go
only in step2-b: a.go, b.go
`
	said, err := compare(t, his, false)
	require.NoError(t, err)
	assert.Equal(t, want, said)

	said, err = compare(t, his, true)
	require.NoError(t, err)
	assert.Contains(t, said, "\x1b[1m--- _mine/main.go\x1b[m\n\x1b[1m+++ step2-b/main.go\x1b[m\n\x1b[36m@@")
	assert.Contains(t, said, "\x1b[31m-func main() { b{} }\x1b[m\n\x1b[32m+func main() { a(); _ = b{} }\x1b[m\n")
}

func TestCompareWithAnEmptyFile(t *testing.T) {
	his := ours()
	his["a.go"] = ""
	said, err := compare(t, his, false)
	require.NoError(t, err)
	assert.Contains(t, said, "--- _mine/a.go\n+++ step2-b/a.go\n")
}

func TestCompareWithNothing(t *testing.T) {
	_, err := compare(t, nil, false)
	assert.ErrorContains(t, err, "begin with `make begin STEP=2`")

	root := t.TempDir()
	write(t, root, small)
	require.NoError(t, os.RemoveAll(filepath.Join(root, "final")))
	b, _ := open(t, root, smallRules)
	assert.ErrorContains(t, b.Compare(b.chapters[2], false),
		"chapter 3 is the one to work on, and its solution isn't here")
}
