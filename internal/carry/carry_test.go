// Tests of carrying and of the gate, on small trees in temporary directories.

package carry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// write makes a tree of files, by path and text, and returns its root.
func write(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return root
}

func check(t *testing.T, root string, rules Rules) []string {
	t.Helper()
	tree, err := Load(root, rules)
	require.NoError(t, err)
	problems, err := tree.Check()
	require.NoError(t, err)
	return problems
}

const source = "// About A.\n\npackage main\n\nconst A = 1\n"

func TestCarriedFilesThatAgree(t *testing.T) {
	root := write(t, map[string]string{
		"step1-a/a.go":             source,
		"step1-a/spec1_test.go":    "package main\n\nconst S = 1\n",
		"step1-a/main.go":          "package main\n\nfunc main() {}\n",
		"step1-a/a_test.go":        "package main\n",
		"step1-a/program_test.go":  "package main\n",
		"step2-b/a.go":             source,
		"step2-b/spec1_test.go":    "package main\n\nconst S = 1\n",
		"step2-b/main.go":          "package main\n\nfunc main() { println(2) }\n",
		"step2-b/program_test.go":  "package main // other\n",
		"step2-b/main_windows.go":  "package main\n",
		"final/a.go":               strings.Replace(source, "package main", "package rpc", 1),
		"final/spec1_test.go":      "package rpc\n\nconst S = 1\n",
		"final/program_test.go":    "package rpc\n",
		"final/task.go":            "package rpc\n",
		"final/cmd/server/main.go": "package main\n",
		"steps-notes/a.go":         "package other\n",
		"step9-notes.txt":          "not a directory",
	})
	assert.Empty(t, check(t, root, Rules{}))
}

func TestGateFindsDrift(t *testing.T) {
	good := map[string]string{
		"step1-a/a.go":           source,
		"step1-a/spec1_test.go":  "package main\n",
		"step2-b/a.go":           source,
		"step2-b/spec1_test.go":  "package main\n",
		"step10-c/a.go":          source, // by number, not by name
		"step10-c/b.go":          source,
		"step10-c/spec1_test.go": "package main\n",
		"final/a.go":             strings.Replace(source, "package main", "package rpc", 1),
		"final/b.go":             strings.Replace(source, "package main", "package rpc", 1),
		"final/spec1_test.go":    "package rpc\n",
	}
	require.Empty(t, check(t, write(t, good), Rules{}))

	const gone = "" // in place of a text
	for _, c := range []struct {
		name       string
		file, text string
		want       [][]string // parts of each problem
	}{
		{"changed in a later step", "step2-b/a.go", "// About A.\n\npackage main\n\nconst A = 2\n",
			[][]string{{"step2-b/a.go differs from step1-a/a.go", "make carry",
				"--- step1-a/a.go", "+++ step2-b/a.go", "\n-const A = 1\n+const A = 2"}}},
		{"one byte of white space", "step10-c/a.go", source + "\n",
			[][]string{{"step10-c/a.go differs from step1-a/a.go", "\n+"}}},
		{"changed in final", "final/b.go", "// About A.\n\npackage rpc\n\nconst A = 3\n",
			[][]string{{"final/b.go differs from step10-c/b.go", "\n package rpc\n", "\n-const A = 1\n+const A = 3"}}},
		{"final with the steps' package", "final/a.go", source,
			[][]string{{"final/a.go differs from step1-a/a.go", "\n-package rpc\n+package main"}}},
		{"final with a second difference", "final/a.go", "// About a.\n\npackage rpc\n\nconst A = 1\n",
			[][]string{{"final/a.go differs from step1-a/a.go", "\n-// About A.\n+// About a."}}},
		{"empty file", "step2-b/a.go", "\x00empty",
			[][]string{{"step2-b/a.go differs from step1-a/a.go"}}},
		{"missing in between", "step2-b/a.go", gone,
			[][]string{{"step2-b/a.go is missing", "step1-a introduces", "make carry"}}},
		{"missing in final", "final/b.go", gone,
			[][]string{{"final/b.go is missing", "step10-c introduces"}}},
		{"changed specification", "step2-b/spec1_test.go", "package main\n// less\n",
			[][]string{{"step2-b/spec1_test.go differs from step1-a/spec1_test.go"}}},
		{"missing specification", "final/spec1_test.go", gone,
			[][]string{{"final/spec1_test.go is missing"}}},
		{"the first one changed", "step1-a/a.go", "package main\n",
			[][]string{{"step2-b/a.go differs"}, {"step10-c/a.go differs"}, {"final/a.go differs"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := write(t, good)
			path := filepath.Join(root, filepath.FromSlash(c.file))
			switch c.text {
			case gone:
				require.NoError(t, os.Remove(path))
			case "\x00empty":
				require.NoError(t, os.Truncate(path, 0))
			default:
				require.NoError(t, os.WriteFile(path, []byte(c.text), 0o644))
			}
			problems := check(t, root, Rules{})
			require.Len(t, problems, len(c.want), "%q", problems)
			for i, parts := range c.want {
				for _, part := range parts {
					assert.Contains(t, problems[i], part)
				}
			}
		})
	}
}

func TestCarry(t *testing.T) {
	fixed := strings.Replace(source, "A = 1", "A = 11", 1)
	root := write(t, map[string]string{
		"step1-a/a.go":          fixed,
		"step1-a/main.go":       "package main\n",
		"step1-a/a_test.go":     "package main\n",
		"step1-a/spec1_test.go": "package main\n",
		"step2-b/a.go":          source,
		"step2-b/b.go":          "package main\n",
		"step3-c/main.go":       "package main // its own\n",
		"final/task.go":         "package rpc\n",
	})
	tree, err := Load(root, Rules{})
	require.NoError(t, err)
	written, err := tree.Carry()
	require.NoError(t, err)
	assert.Equal(t, []string{
		"step2-b/a.go", "step2-b/spec1_test.go",
		"step3-c/a.go", "step3-c/b.go", "step3-c/spec1_test.go",
		"final/a.go", "final/b.go", "final/spec1_test.go",
	}, written)
	assert.Empty(t, check(t, root, Rules{}))

	for file, want := range map[string]string{
		"step3-c/a.go":    fixed,
		"step3-c/main.go": "package main // its own\n",
		"final/a.go":      "// About A.\n\npackage rpc\n\nconst A = 11\n",
		"final/task.go":   "package rpc\n",
	} {
		got, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		assert.Equal(t, want, string(got), file)
	}
	for _, file := range []string{"step2-b/a_test.go", "step2-b/main.go", "final/main.go"} {
		assert.NoFileExists(t, filepath.Join(root, file))
	}

	tree, err = Load(root, Rules{})
	require.NoError(t, err)
	written, err = tree.Carry()
	require.NoError(t, err)
	assert.Empty(t, written, "a second time there is nothing to do")
}

func TestPackageClauseOnly(t *testing.T) {
	source := "// package main\n/* package main */ package main // package main\n\nvar s = `\npackage main`\n"
	got, err := setPackage([]byte(source), "rpc")
	require.NoError(t, err)
	want := "// package main\n/* package main */ package rpc // package main\n\nvar s = `\npackage main`\n"
	assert.Equal(t, want, string(got))

	_, err = setPackage([]byte("no Go\n"), "rpc")
	assert.ErrorContains(t, err, "package clause")
}

func TestRevision(t *testing.T) {
	second := strings.Replace(source, "A = 1", "A = 2", 1)
	files := map[string]string{
		"step1-a/a.go": source,
		"step2-b/a.go": second,
		"step3-c/a.go": second,
		"final/a.go":   strings.Replace(second, "package main", "package rpc", 1),
	}
	root := write(t, files)
	rules := Rules{Revisions: []Revision{{Step: "step2-b", File: "a.go", Lines: 2, Reason: "A learns to count"}}}
	assert.Len(t, check(t, root, Rules{}), 3, "without the table all three differ")
	assert.Empty(t, check(t, root, rules), "the table lets step 2 change the file, and its text is carried on")

	files["step3-c/a.go"] = source
	problems := check(t, write(t, files), rules)
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0], "step3-c/a.go differs from step2-b/a.go")

	tree, err := Load(root, rules)
	require.NoError(t, err)
	written, err := tree.Carry()
	require.NoError(t, err)
	assert.Empty(t, written, "the revision is not overwritten")

	for _, idle := range []struct {
		revision Revision
		why      string
	}{
		{Revision{Step: "step3-c", File: "a.go"}, "the file is as in step2-b"},
		{Revision{Step: "step3-c", File: "b.go"}, "no earlier step"},
		{Revision{Step: "step7-x", File: "a.go"}, "no earlier step"},
		{Revision{Step: "step1-a", File: "a.go"}, "no earlier step"},
	} {
		with := Rules{Revisions: append([]Revision{idle.revision}, rules.Revisions...)}
		problems := check(t, root, with)
		require.Len(t, problems, 1, "%v", idle)
		assert.Contains(t, problems[0], idle.why)
	}
	rules.Revisions[0].Lines = 3
	problems = check(t, root, rules)
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0], "step2-b/a.go revises step1-a/a.go in 2 lines, and not in 3")
	rules.Revisions[0].Lines = 2
	require.NoError(t, os.RemoveAll(filepath.Join(root, "final"))) // as in a handout
	beyond := Rules{Revisions: append([]Revision{{Step: "final", File: "a.go"}}, rules.Revisions...)}
	assert.Empty(t, check(t, root, beyond))
}

func TestTwoDirectoriesForOneStep(t *testing.T) {
	_, err := Load(write(t, map[string]string{"step1-a/a.go": source, "step1-b/a.go": source}), Rules{})
	assert.ErrorContains(t, err, "step1-a and step1-b are both step 1")
}
