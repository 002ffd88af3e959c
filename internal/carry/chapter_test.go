// Tests of what a chapter's reader gets.

package carry

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChapters(t *testing.T) {
	files := map[string]string{
		"step1-a/a.go":            source,
		"step1-a/main.go":         "package main\n",
		"step1-a/a_test.go":       "package main\n",
		"step1-a/spec1_test.go":   "package main\n",
		"step2-b/a.go":            source,
		"step2-b/b.go":            source,
		"step2-b/given_linux.go":  source,
		"step2-b/main.go":         "package main\n",
		"step2-b/main_windows.go": "package main\n",
		"step2-b/b_test.go":       "package main\n",
		"step2-b/spec1_test.go":   "package main\n",
		"step2-b/spec2_test.go":   "package main\n",
		"step3-c/a.go":            source + "// revised\n",
		"step3-c/b.go":            source,
		"step3-c/c.go":            source,
		"step3-c/given_linux.go":  source,
		"step3-c/main.go":         "package main\n",
		"final/a.go":              source,
	}
	rules := Rules{
		Revisions: []Revision{{Step: "step3-c", File: "a.go"}},
		Budgets: map[int][]Budget{
			2: {{Part: "given", Files: []string{"given_*.go"}}, {Part: "written"}},
			3: {{Part: "written"}}, // what step 2 gave is not new here
		},
	}
	tree, err := Load(write(t, files), rules)
	require.NoError(t, err)
	assert.True(t, tree.FinalIsThere())
	assert.Equal(t, []Chapter{
		{Number: 1, Dir: "step1-a", Write: []string{"a.go"}},
		{Number: 2, Dir: "step2-b", Before: "step1-a", Start: []string{"a.go", "main.go"},
			Given: []string{"given_linux.go"}, Write: []string{"b.go"}},
		{Number: 3, Dir: "step3-c", Before: "step2-b",
			Start: []string{"a.go", "b.go", "given_linux.go", "main.go", "main_windows.go"},
			Write: []string{"c.go"}, Revise: []string{"a.go"}},
	}, tree.Chapters())

	delete(files, "final/a.go")
	tree, err = Load(write(t, files), rules)
	require.NoError(t, err)
	assert.False(t, tree.FinalIsThere())
	assert.Len(t, tree.Chapters(), 3)
}
