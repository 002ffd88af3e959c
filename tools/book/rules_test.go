// docs/rules.md says which milestone or unit test asks for each rule: those
// that it names must exist.

package book

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/tools/broken"
)

var (
	chapterHeading = regexp.MustCompile(`^Chapter ([0-9]+)$`)
	ruleMilestone  = regexp.MustCompile(`\b([0-9]+)\.([0-9]+)\b`)
	ruleTest       = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")
	ruleProgram    = regexp.MustCompile("`([a-z0-9-]+)`")
)

func TestEachRuleHasAMilestoneOrATest(t *testing.T) {
	root, _ := workbook(t)
	text, err := os.ReadFile(filepath.Join(root, "docs", "rules.md"))
	require.NoError(t, err)

	programs := map[string]bool{}
	for _, p := range broken.Programs() {
		programs[p.Name] = true
	}

	sources := ""
	number, rules := 0, map[int]int{}
	for i, line := range strings.Split(string(text), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			m := chapterHeading.FindStringSubmatch(title)
			require.NotNil(t, m, "docs/rules.md:%d: a heading is ## Chapter N", i+1)
			number, _ = strconv.Atoi(m[1])
			sources = testsOf(t, root, number)
			continue
		}

		cells := strings.Split(strings.Trim(line, "| "), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[0]) == "Rule" {
			continue
		}
		rules[number]++
		at := fmt.Sprintf("docs/rules.md:%d", i+1)
		if !assert.Len(t, cells, 3, at) {
			continue
		}

		milestones := ruleMilestone.FindAllString(cells[1], -1)
		tests := ruleTest.FindAllStringSubmatch(cells[1], -1)
		assert.NotZero(t, len(milestones)+len(tests), "%s names neither a milestone nor a test", at)
		for _, name := range milestones {
			assert.Contains(t, sources, `"`+name+" ", "%s: there is no milestone %s", at, name)
		}
		for _, m := range tests {
			assert.Contains(t, sources, "func "+m[1]+"(", "%s: the chapter has no test %s", at, m[1])
		}
		for _, m := range ruleProgram.FindAllStringSubmatch(cells[2], -1) {
			assert.True(t, programs[m[1]], "%s: there is no broken program %s", at, m[1])
		}
	}
	assert.Len(t, rules, 6, "chapters that have rules")
}

// testsOf returns the test files of a chapter's step, one after another.
func testsOf(t *testing.T, root string, number int) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, fmt.Sprintf("step%d-*", number), "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)

	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}
