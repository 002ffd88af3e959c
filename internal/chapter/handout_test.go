// Tests of make handout.

package chapter

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
)

// whole is the small workbook with all that a handout is made from, and with
// files that must not get into one.
func whole(t *testing.T, more map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	write(t, root, small)
	write(t, root, map[string]string{
		"README.md": "# The title\n\nThe text.\n", "AGENTS.md": "Hints.\n", "TEACHING.md": "Answers.\n",
		"Makefile": "all:\n", "LICENSE": "free\n", ".gitignore": "*.md\n/bin/\n",
		"go.mod": "module example.com/rpcworkbook\n", "go.sum": "\n",
		".ci/run": "make\n", "bin/x": "x", "_mine/a.go": "package main\n",
		"pictures/a.svg": "<svg/>", "pictures/demo.txt": "text",
		"docs/words.md":                          "[one](../step1-a), [two](../final), [three](../README.md)\n",
		"step1-a/testdata/fuzz/a":                "1",
		"step1-a/a.svg":                          "<svg/>",
		"step2-b/b.svg":                          "<svg/>",
		"step1-a/a.test":                         "a program",
		"step1-a/.a.go.swp":                      "an editor's",
		"step1-a/_old/a.go":                      "package main\n",
		"step2-b/spec1_test.go":                  importing("main", "example.com/rpcworkbook/internal/verbs"),
		"step2-b/spec2_test.go":                  "package main\n",
		"step2-b/program_test.go":                "package main\n",
		"step2-b/testdata/golden":                "1",
		"internal/verbs/verbs.go":                importing("verbs", "example.com/rpcworkbook/internal/deep"),
		"internal/verbs/verbs_test.go":           importing("verbs", "example.com/rpcworkbook/tools/broken"),
		"internal/verbs/testdata/server/main.go": "package main\n",
		"internal/deep/deep.go":                  importing("deep", "example.com/other"),
		"tools/broken/broken.go":                 "package broken\n",
		"internal/carry/carry.go":                "package carry\n",
		"internal/carry/gate_test.go":            "package carry\n",
		"internal/carry/cmd/carry/main.go":       importing("main", "example.com/rpcworkbook/internal/carry"),
		"internal/chapter/cmd/chapter/main.go":   "package main\n",
		"internal/play/cmd/play/main.go":         "package main\n",
		"internal/zkdev/cmd/zookeeper/main.go":   importing("main", "example.com/rpcworkbook/internal/zkdev"),
		"internal/zkdev/zkdev.go":                "package zkdev\n",
		"internal/zkdev/install.sh":              "exit\n",
	})
	write(t, root, more)
	return root
}

// importing returns a file of that package which imports another.
func importing(name, path string) string {
	return fmt.Sprintf("package %s\n\nimport _ %q\n", name, path)
}

// handout writes one of chapter 2.
func handoutOf2(t *testing.T, root, out string) (said string, err error) {
	t.Helper()
	b, said2 := open(t, root, smallRules)
	err = b.Handout(b.chapters[1], out)
	return said2.String(), err
}

func TestHandoutHasWhatAClassMayHave(t *testing.T) {
	t.Setenv("HOME", t.TempDir()) // nobody has told git who commits
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("GIT_DIR", filepath.Join(t.TempDir(), "another")) // as in a hook
	root, out := whole(t, nil), filepath.Join(t.TempDir(), "new", "dir")
	said, err := handoutOf2(t, root, out)
	require.NoError(t, err)
	want := []string{
		".gitignore", "AGENTS.md", "LICENSE", "Makefile", "README.md", "docs/words.md", "go.mod", "go.sum",
		"internal/carry/carry.go", "internal/carry/cmd/carry/main.go", "internal/carry/gate_test.go",
		"internal/chapter/cmd/chapter/main.go", "internal/deep/deep.go",
		"internal/play/cmd/play/main.go", "internal/verbs/verbs.go",
		"internal/zkdev/cmd/zookeeper/main.go", "internal/zkdev/install.sh", "internal/zkdev/zkdev.go",
		"pictures/a.svg", "pictures/demo.txt",
		"step1-a/README.md", "step1-a/a.go", "step1-a/a.svg", "step1-a/a_test.go", "step1-a/main.go",
		"step1-a/spec1_test.go", "step1-a/testdata/fuzz/a",
		"step2-b/README.md", "step2-b/a.go", "step2-b/b.go", "step2-b/b.svg", "step2-b/given.go", "step2-b/main.go",
		"step2-b/program_test.go", "step2-b/spec1_test.go", "step2-b/spec2_test.go",
	}
	has := tree(t, out)
	maps.DeleteFunc(has, func(name, _ string) bool { return strings.HasPrefix(name, ".git/") })
	assert.Equal(t, want, slices.Sorted(maps.Keys(has)))
	assert.Equal(t, small["step1-a/main.go"], has["step2-b/main.go"], "the wiring is that of the step before")
	assert.Contains(t, said, "Chapter 2 for a class is in "+out+": 36 files.\n")
	const begins = "# The title\n\n**This is a handout: chapter 2, [step2-b](step2-b/README.md)"
	assert.True(t, strings.HasPrefix(has["README.md"], begins))
	assert.True(t, strings.HasSuffix(has["README.md"], "\n\nThe text.\n"))
	assert.Equal(t, "[one](../step1-a), two, [three](../README.md)\n", has["docs/words.md"])

	if _, err := exec.LookPath("git"); err != nil {
		assert.Contains(t, said, "There is no git here")
		return
	}
	require.NoError(t, os.Unsetenv("GIT_DIR"))
	git := exec.Command("git", "ls-tree", "-r", "--name-only", "HEAD")
	git.Dir = out
	listed, err := git.Output()
	require.NoError(t, err)
	assert.Equal(t, want, strings.Fields(string(listed)), "all is committed")
}

func TestHandoutWithoutGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	out := t.TempDir() // empty, which is fine
	said, err := handoutOf2(t, whole(t, nil), out)
	require.NoError(t, err)
	assert.Contains(t, said, "There is no git here")
	assert.FileExists(t, filepath.Join(out, "step2-b/given.go"))
}

func TestHandoutWritesIntoNothingThatIsThere(t *testing.T) {
	root, dir := whole(t, nil), t.TempDir()
	write(t, dir, map[string]string{"full/file": "mine", "file": "mine"})
	before := tree(t, dir)
	for out, want := range map[string]string{
		"":                          "OUT is missing: it is the directory to write, new or empty",
		filepath.Join(dir, "full"):  "is not empty",
		filepath.Join(dir, "file"):  "it is the directory to write, new or empty",
		filepath.Join(dir, "file/"): "it is the directory to write, new or empty",
		filepath.Join(root):         "is not empty",
		"~/handout":                 "your shell doesn't expand the ~",
	} {
		_, err := handoutOf2(t, root, out)
		assert.ErrorContains(t, err, want, out)
	}
	assert.Equal(t, before, tree(t, dir))
	assert.NoDirExists(t, "~")
}

func TestHandoutGivesNoSolutionAway(t *testing.T) {
	root := whole(t, map[string]string{"internal/deep/more.go": importing("deep", "example.com/rpcworkbook/final")})
	_, err := handoutOf2(t, root, t.TempDir())
	assert.ErrorContains(t, err,
		"internal/deep/more.go imports example.com/rpcworkbook/final, which a class must not get")

	root = whole(t, nil)
	require.NoError(t, os.RemoveAll(filepath.Join(root, "final")))
	_, err = handoutOf2(t, root, t.TempDir())
	assert.ErrorContains(t, err, "this is a handout itself")
}

// What a class gets must compile, and keep to the gate, from the first minute.
func TestHandoutsOfTheWorkbook(t *testing.T) {
	b, _ := workbook(t)
	out := filepath.Join(t.TempDir(), "class") // one path for all: go knows what it has compiled there
	for _, c := range b.chapters {
		t.Run(c.Dir, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(out))
			require.NoError(t, b.Handout(c, out))
			entries, err := os.ReadDir(out)
			require.NoError(t, err)
			for _, entry := range entries {
				assert.NotEqual(t, "final", entry.Name())
				assert.NotEqual(t, "exercise-etcd", entry.Name())
				assert.NotEqual(t, "tools", entry.Name())
			}
			for _, name := range c.Write {
				onlyStubs(t, filepath.Join(out, c.Dir, name))
			}
			handout, _ := open(t, out, carry.Workbook())
			require.Len(t, handout.chapters, c.Number)
			_, err = handout.Milestones(c)
			assert.NoError(t, err)

			problems, err := handout.tree.Check()
			require.NoError(t, err)
			assert.Empty(t, problems)
			vet := exec.Command("go", "vet", "./...")
			vet.Dir = out
			output, err := vet.CombinedOutput()
			assert.NoError(t, err, "%s", output)
			if c.Number <= 4 { // the others need ZooKeeper: see the book's checks
				student(t, out, c)
			}
		})
	}
}

// onlyStubs checks that a file has no function that does anything.
func onlyStubs(t *testing.T, path string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}

		call := &ast.CallExpr{}
		if s, ok := f.Body.List[0].(*ast.ExprStmt); ok {
			call, _ = s.X.(*ast.CallExpr)
		}
		name, _ := call.Fun.(*ast.Ident)
		assert.True(t, len(f.Body.List) == 1 && name != nil && name.Name == "panic", "%s: %s", path, f.Name.Name)
	}
}

// student begins the chapter with what a class has got, and tries it with the
// real specification: nothing but the first milestone is red, and says so.
func student(t *testing.T, class string, c carry.Chapter) {
	t.Helper()
	b, out := open(t, class, carry.Workbook())
	require.NoError(t, b.Begin(c))
	assert.Contains(t, out.String(), "  you write  "+c.Write[0])
	assert.NotContains(t, out.String(), "left out")

	if c.Number == 2 { // he has the program of the chapter before
		green, err := b.Try(t.Context(), b.chapters[0], How{Only: "1.1"})
		require.NoError(t, err)
		assert.True(t, green)
		assert.True(t, strings.HasSuffix(out.String(), "1.1 ✓\n"), out.String())
	}

	green, err := b.Try(t.Context(), c, How{})
	require.NoError(t, err)
	assert.False(t, green)
	first := fmt.Sprintf("%d.1", c.Number)
	_, report, _ := strings.Cut(out.String(), "\n"+first+" ✗ (1 of ")
	assert.Regexp(t, `(?s)\n\n✗ `+first+` [^\n]+\n  did .*\n  expected  .*\n  got  .*\n`+
		fmt.Sprintf(`  again     make try STEP=%d ONLY=%s\n`, c.Number, first), report)
	assert.NotContains(t, report, "_test.go")
}
