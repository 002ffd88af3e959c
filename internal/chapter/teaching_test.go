// What the page for instructors says of the chapters is what they are.

package chapter

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
)

var (
	// | 2 the event loop | 8–12 | 367 + `main.go` | 159 | 13 | 11 s |
	teachingRow = regexp.MustCompile("(?m)^\\| ([0-9]) [^|]+ \\| ([0-9]+–[0-9]+) \\| " +
		"([0-9]+) \\+ `main.go` \\| ([0-9–]+) \\| ([0-9]+) \\|")
	// | [2 the event loop](step2-a/README.md) | How …? | 8–12 | chapter 1 |
	readmeRow = regexp.MustCompile(`(?m)^\| \[([0-9]) [^|]+ \| [^|]+ \| ([0-9]+–[0-9]+) \|`)
	// In the box on top of a chapter's README.
	hours = regexp.MustCompile(`\*\*Hours:?\*\*:? *([0-9]+)[^0-9]+([0-9]+)`)
)

func TestTeachingTable(t *testing.T) {
	b, _ := workbook(t)
	text, err := os.ReadFile(filepath.Join(b.root, "TEACHING.md"))
	require.NoError(t, err)
	parts, err := b.tree.Count()
	require.NoError(t, err)
	rows := teachingRow.FindAllStringSubmatch(string(text), -1)
	require.Len(t, rows, len(b.chapters))

	for i, c := range b.chapters {
		lines := map[string]int{}
		for _, part := range parts {
			if part.Step == c.Dir {
				lines[part.Name] = part.Lines
			}
		}
		isAboutRight(t, lines["written"], rows[i][3], "%s: lines to write", c.Dir)
		isAboutRight(t, lines["given"], rows[i][4], "%s: lines given", c.Dir)

		milestones, err := b.Milestones(c)
		require.NoError(t, err)
		want := []string{fmt.Sprint(c.Number), rows[i][2], rows[i][3], rows[i][4], fmt.Sprint(len(milestones))}

		readme, err := os.ReadFile(filepath.Join(b.root, c.Dir, "README.md"))
		require.NoError(t, err)
		if box := hours.FindStringSubmatch(string(readme)); box != nil {
			want[1] = box[1] + "–" + box[2]
		}
		assert.Equal(t, want, rows[i][1:], "%s: %s", c.Dir, strings.TrimSpace(rows[i][0]))
	}
}

// isAboutRight asserts that shown, a number of lines or a dash for none, is
// within a tenth of what it is: nobody plans a course by the single line.
func isAboutRight(t *testing.T, lines int, shown, about string, args ...any) {
	t.Helper()
	if lines == 0 {
		assert.Equal(t, "–", shown, append([]any{about}, args...)...)
		return
	}

	n, err := strconv.Atoi(shown)
	require.NoError(t, err)
	assert.InEpsilon(t, lines, n, 0.1, append([]any{about}, args...)...)
}

// The README shows the hours, too.
func TestHoursOfTheREADME(t *testing.T) {
	b, _ := workbook(t)
	hours := func(name string, row *regexp.Regexp) (all []string) {
		text, err := os.ReadFile(filepath.Join(b.root, name))
		require.NoError(t, err)
		for _, m := range row.FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1]+": "+m[2])
		}
		return all
	}

	want := hours("TEACHING.md", teachingRow)
	require.Len(t, want, len(b.chapters))
	assert.Equal(t, want, hours("README.md", readmeRow))
}
