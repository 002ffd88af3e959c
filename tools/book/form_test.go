// Tests of the form of chapters.

package book

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var stepReadme = regexp.MustCompile(`^step([0-9]+)-[^/]*/README\.md$`)

func TestChaptersHaveTheirForm(t *testing.T) {
	root, docs := workbook(t)
	chapters := 0
	for _, d := range docs {
		m := stepReadme.FindStringSubmatch(d.Path)
		if m == nil {
			continue
		}
		chapters++
		number, _ := strconv.Atoi(m[1])
		report(t, CheckChapter(root, d, number))
	}
	assert.Equal(t, 6, chapters)
}

func TestFoldedPartsAreWellFormed(t *testing.T) {
	_, docs := workbook(t)
	for _, d := range docs {
		report(t, d.CheckFolds())
	}
}

const fold = "<details><summary>Q</summary>\n\nA\n</details>\n"

// goodChapter returns the text of one that has all that it needs.
func goodChapter() string {
	return ticks("# Chapter 2: b\n\n> **The question.** How?\n> **You will** see.\n> **You write** `a.go`.\n" +
		"> **Hours** 2\n\n## Before\n\n## The idea\n\n'''mermaid\nflowchart\n'''\n\n" +
		"<details><summary>How the Python tutorial does it</summary>\n\nA\n</details>\n\n" +
		"## Build it\n\n`make begin STEP=2`\n\nThe first takes 90 lines.\n\nAfter this, 2.1 is green.\n\n" +
		"### 2.1–2.3 One\n\n### 2.4 Two, and 2.5\n\n### `main.go`\n\n" +
		"## See it\n\n'''console\n$ ls\n'''\n\n" +
		"## Break it\n\n**Predict first**\n" + fold + fold +
		"## Where it goes wrong\n\n| Symptom | Usual cause | Look |\n|---|---|---|\n\n" +
		"## Something else\n\n" +
		"## Exercises\n\n" + strings.Repeat(fold, 3) +
		"## Further reading\n\n- a\n- b\n- c\n")
}

func TestCheckChapter(t *testing.T) {
	root := tree(t, map[string]string{"step2-b/spec2_test.go": "f(\"2.1 a\")\nf(\"2.2 a\", \"2.3 b\")\nf(\"2.4 a\")\n" +
		"f(\"2.5 a\")\nf(\"1.9 a\")\n"})
	assert.Empty(t, CheckChapter(root, Parse("step2-b/README.md", goodChapter()), 2))
	for _, c := range []struct{ name, old, new, want string }{
		{"another number", "# Chapter 2:", "# Chapter 3:", "begins with `# Chapter 2: …`"},
		{"no question", "**The question.**", "The question:", "has no **The question**"},
		{"no hours", "**Hours**", "Hours", "has no **Hours**"},
		{"a box that is none", "> **You will**", "**You will**", "has no **You will**"},
		{"no section", "## See it", "## See this", "there is no section ## See it"},
		{"another order", goodChapter(), strings.Replace(goodChapter(), "## Before\n\n", "", 1) + "\n## Before\n",
			"## The idea stands before ## Before"},
		{"no diagram", "```mermaid", "```text", "## The idea lacks a diagram"},
		{"no word on the tutorial", "How the Python tutorial does it", "Python",
			"## The idea lacks a diagram (mermaid or an .svg) and"},
		{"no beginning", "`make begin STEP=2`", "", "## Build it lacks `make begin"},
		{"no first ✓", "90 lines", "an hour", "## Build it lacks `make begin"},
		{"nothing green", "After this, 2.1 is green.", "", "how many lines it takes to the first ✓"},
		{"a milestone left out", "2.1–2.3", "2.1–2.2", "has the milestones 2.3"},
		{"milestones of another chapter", "2.1–2.3", "1.1–1.3", "has the milestones 2.1, 2.2, 2.3"},
		{"no prediction", "**Predict first**", "", "## Break it lacks **Predict first**"},
		{"one experiment", "**Predict first**\n" + fold, "**Predict first**\n",
			"## Break it has 1 folded parts (<details>), and must have 2 or more"},
		{"two hints", "## Exercises\n\n" + fold, "## Exercises\n\n", "## Exercises has 2 folded parts"},
		{"no symptoms", "| Symptom", "| What", "## Where it goes wrong lacks the table"},
		{"little to read", "- c", "c", "## Further reading lacks a list of three or more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := goodChapter()
			require.Contains(t, text, c.old)
			problems := CheckChapter(root, Parse("step2-b/README.md", strings.Replace(text, c.old, c.new, 1)), 2)
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0]+"\n", c.want)
			assert.Equal(t, "step2-b/README.md", path.Clean(strings.SplitN(problems[0], ":", 2)[0]))
		})
	}
}

func TestFolds(t *testing.T) {
	long := ticks("<!-- diff a b -->\n'''diff\n" + strings.Repeat("+a\n", longDiff+1) + "'''\n")
	for _, c := range []struct{ text, want string }{
		{fold + fold, ""},
		{"<details><summary>a</summary>\n\n" + fold + "</details>", ""},
		{ticks("'''\n<details>\n'''"), ""},
		{"a `<details>` and\n`</summary>`\nb", ""},
		{"<details><summary>\n\n" + long + "</details>", ""},
		{ticks("<!-- diff a b -->\n'''diff\n+a\n'''\n"), ""},
		{"<details>\n", "a.md:1: this <details> isn't closed"},
		{"a\n</details>\n", "a.md:2: this </details> closes nothing"},
		{"<details><summary>a</summary>\nb\n</details>\n", "a.md:1: leave an empty line after </summary>"},
		{"\n" + long, fmt.Sprintf("a.md:2: a diff of more than %d lines", longDiff)},
	} {
		problems := Parse("a.md", c.text).CheckFolds()
		if c.want == "" {
			assert.Empty(t, problems, c.text)
		} else if assert.Len(t, problems, 1, c.text) {
			assert.Contains(t, problems[0], c.want)
		}
	}
}
