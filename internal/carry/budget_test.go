// Tests of the counting and of the budgets.

package carry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCodeLines(t *testing.T) {
	for _, c := range []struct {
		name, source string
		want         int
	}{
		{"nothing", "", 0},
		{"blanks", "\n\n  \n\t\n", 0},
		{"no line end", "package main", 1},
		{"comment", "// a\npackage main // b\n// c\n", 1},
		{"build constraint", "//go:build linux\n\npackage main\n", 1},
		{"block comment", "package main\n/* a\n\nb()\n*/\nvar a = 1\n", 2},
		{"code before and behind a block comment", "package main\nvar a /* 1\n2\n*/ = 1\n", 3},
		{"comment signs in strings", "package main\nvar a = \"/*\"\nvar b = `\n// no comment\n*/`\n", 5},
		{"code behind a comment on its line", "package main\n/* a */ var a = 1\n", 2},
		{"one statement on three lines", "package main\nvar a = 1 +\n\n\t// why\n\t2 +\n\t3\n", 4},
		{"braces", "package main\nfunc f() {\n}\n", 3},
		{"carriage returns", "package main\r\n\r\n// a\r\nvar a = 1\r\n", 2},
	} {
		assert.Equal(t, c.want, CodeLines([]byte(c.source)), c.name)
	}
}

func TestStatements(t *testing.T) {
	for _, c := range []struct {
		name, source string
		want         int
	}{
		{"nothing", "", 0},
		{"imports and comments", "import \"fmt\"\n// a\n", 0},
		{"declarations", "type a int\nvar b, c = 1, 2\nconst (\n\td = 1\n\te = 2\n)\n", 4},
		{"a long literal", "var a = []int{\n\t1,\n\t2,\n}\n", 1},
		{"a function", "func f() {\n\n\tg()\n\treturn\n}\n", 3},
		{"a split condition", "func f() {\n\tif a &&\n\t\tb {\n\t\tg()\n\t}\n}\n", 3},
		{"what the head of an if does", "func f() {\n\tif a = b; a {\n\t}\n}\n", 3},
		{"a function in an expression", "var f = func() { g() }\n", 2},
		{"cases", "func f() {\n\tswitch a {\n\tcase 1:\n\t\tg()\n\tdefault:\n\t}\n}\n", 5},
	} {
		n, err := Statements([]byte("package main\n" + c.source))
		require.NoError(t, err, c.name)
		assert.Equal(t, c.want, n, c.name)
	}
	_, err := Statements([]byte("package main\nfunc"))
	assert.Error(t, err)
}

// code returns a file with that many statements, and one line of code more.
func code(statements int) string {
	return "// Comment.\n\npackage main\n" + strings.Repeat("\nvar _ = 1\n", statements)
}

func TestBudget(t *testing.T) {
	root := write(t, map[string]string{
		"step1-a/a.go":            code(5),
		"step1-a/main.go":         code(4),
		"step1-a/main_windows.go": code(50),
		"step1-a/a_test.go":       code(50),
		"step1-a/spec1_test.go":   code(50),
		"step2-b/a.go":            code(5),
		"step2-b/spec1_test.go":   code(50),
		"step2-b/main.go":         code(50),
		"step2-b/poller.go":       code(7),
		"step2-b/sys_linux.go":    code(3),
		"step2-b/loop.go":         code(6),
		"final/a.go":              strings.Replace(code(5), "package main", "package rpc", 1),
		"final/poller.go":         strings.Replace(code(7), "package main", "package rpc", 1),
		"final/sys_linux.go":      strings.Replace(code(3), "package main", "package rpc", 1),
		"final/loop.go":           strings.Replace(code(6), "package main", "package rpc", 1),
		"final/spec1_test.go":     strings.Replace(code(50), "package main", "package rpc", 1),
		"final/task.go":           code(1000),
	})
	rules := func(first, given, written int) Rules {
		return Rules{Budgets: map[int][]Budget{
			1: {{Part: "written", Statements: first}},
			2: {
				{Part: "given", Files: []string{"poller.go", "sys_*.go"}, Statements: given},
				{Part: "written", Statements: written},
			},
		}}
	}
	assert.Empty(t, check(t, root, rules(5, 10, 6)), "at its budget a chapter is fine")

	problems := check(t, root, rules(4, 9, 4))
	require.Len(t, problems, 3)
	assert.Contains(t, problems[0], "step1-a has 5 statements (written), 1 over its budget of 4")
	assert.Contains(t, problems[1], "step2-b has 10 statements (given), 1 over its budget of 9")
	assert.Contains(t, problems[2], "step2-b has 6 statements (written), 2 over its budget of 4")

	tree, err := Load(root, rules(5, 10, 6))
	require.NoError(t, err)
	var table strings.Builder
	require.NoError(t, tree.WriteBudget(&table))
	assert.Equal(t, ""+
		"step     new code  lines  statements  budget  files (statements)\n"+
		"step1-a  written   6      5           5       a.go 5\n"+
		"step2-b  given     12     10          10      poller.go 7, sys_linux.go 3\n"+
		"step2-b  written   7      6           6       loop.go 6\n"+
		"final    written   1001   1000        -       task.go 1000\n"+
		"\n"+
		"main.go  lines  statements  growth\n"+
		"step1-a  5      4           +4\n"+
		"step2-b  51     50          +46\n", table.String())
}

func TestWorkbookBudgets(t *testing.T) {
	rules := Workbook()
	for file, part := range map[string]string{
		"poller.go": "given", "poller_epoll.go": "given", "poller_poll.go": "given", "sys_darwin.go": "given",
		"loop.go": "written", "conn.go": "written",
	} {
		assert.Equal(t, part, rules.Budgets[2][rules.budget(2, file)].Part, file)
	}
	assert.Equal(t, "given", rules.Budgets[1][rules.budget(1, "args.go")].Part)
	assert.Equal(t, "given", rules.Budgets[5][rules.budget(5, "zksession.go")].Part)
	for _, revision := range rules.Revisions {
		assert.NotEmpty(t, revision.Reason,
			"%s in %s: say why the chapter must change it", revision.File, revision.Step)
	}
}
