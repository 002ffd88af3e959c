// Tests of what a text says about the tools that it uses.

package book

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestToolsAreNamedWithTheirPackages(t *testing.T) {
	_, docs := workbook(t)
	for _, doc := range docs {
		report(t, Unnamed(doc))
	}
}

func TestUnnamed(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"no tool", "`ls x`, `grep y log`", nil},
		{"spoken of", "What would `ps` show?", nil},
		{"in a line", "A\n\nSee `ps -A`.", []string{"T.md:3: ps is used here for the first time, and is not on every " +
			"machine: say `apt-get install procps`"}},
		{"once each", "`ps -A`, `ss -l`, `ps -e`", []string{"T.md:1: ps", "T.md:1: ss"}},
		{"in a block", "'''console\n$ kill $(ps -o pid= -A)\n'''", []string{"T.md:2: ps"}},
		{"in a table", "| a | `ss -tnp \\| grep 1` |", []string{"T.md:1: ss"}},
		{"the first place counts", "`ps -A`\n\n# B\n\n'''sh\nps\n'''\n`apt-get install procps`",
			[]string{"T.md:1: ps"}},
		{"named below", "# A\n\n`ps -A`\n\n`apt-get install procps`\n\n# B\n\n`ps -e`", nil},
		{"named before", "`apt-get install iproute2 procps`\n\n# A\n\n`ps -A` and `ss -l`", nil},
		{"in an argument", "'''sh\ngo test -program 'python3 x.py {port}' .\n'''", []string{"T.md:2: python3"}},
		{"another package", "`apt-get install procps`: `ss -l`", []string{"T.md:1: ss"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems := Unnamed(Parse("T.md", ticks(c.text)))
			if assert.Len(t, problems, len(c.want), "%v", problems) {
				for i, want := range c.want {
					assert.Contains(t, problems[i], want)
				}
			}
		})
	}
}

func TestReplayWithoutItsTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	d := Parse("T.md", ticks("<!-- replay -->\n'''console\n$ echo $(ps -A | wc -l)\n1\n'''\n"))
	assert.Equal(t, []string{"T.md:3: this needs ps: apt-get install procps"}, replay(t, d, d.blocks[0], replayLimit))
}

// A shell takes its prompt back from a program that is stopped. When that goes
// on it is in the background, and the next Ctrl-C doesn't reach it.
func TestWhoStopsAMasterIsToldOfFg(t *testing.T) {
	_, docs := workbook(t)
	for _, d := range docs {
		for _, span := range d.codeSpans() {
			if span.text != "kill -STOP MASTER" {
				continue
			}
			paragraph, _, _ := strings.Cut(strings.Join(d.lines[span.line:], "\n"), "\n\n")
			assert.Contains(t, paragraph, "`fg`", "%s:%d", d.Path, span.line+1)
		}
	}
}
