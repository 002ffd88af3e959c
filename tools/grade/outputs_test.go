package grade

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// written returns the files that are written for a class of two.
func written(t *testing.T, weights string) (out string) {
	t.Helper()
	c := &Class{Step: "3", Out: t.TempDir(), Weights: filepath.Join(t.TempDir(), "weights.txt")}
	require.NoError(t, os.WriteFile(c.Weights, []byte(weights), 0o600))

	require.NoError(t, c.write([]*Result{
		{Who: "ann", Took: 12 * time.Second, Verdicts: []Verdict{
			{Number: "3.1", Sentence: "a | b", Status: Passed},
			{Number: "3.2", Sentence: "c", Status: Failed, Report: "✗ 3.2 c\n  got  <b>\x00\x1b[2J```"},
			{Number: "3.3", Sentence: "d", Status: Skipped, Report: "not asked: see 3.2"},
			{Number: "3.4", Sentence: "e", Status: Unreached},
		}},
		{Who: "ben", Problem: "it doesn't compile:\nx.go:1: <no>", Verdicts: []Verdict{
			{Number: "3.1", Sentence: "a | b", Status: Unreached},
		}},
	}))
	return c.Out
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(text)
}

func TestGradescope(t *testing.T) {
	out := written(t, "# points\n3.1 2.5 # much\n\n4.1 7\n")
	var results struct {
		Output string
		Time   float64 `json:"execution_time"`
		Tests  []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, out, "ann", "results.json")), &results))
	assert.InDelta(t, 12, results.Time, 0)
	require.Len(t, results.Tests, 4)
	assert.Equal(t, map[string]any{"number": "3.1", "name": "a | b", "score": 2.5, "max_score": 2.5,
		"status": "passed", "output_format": "text"}, results.Tests[0])
	assert.Equal(t, "failed", results.Tests[1]["status"])
	assert.Contains(t, results.Tests[1]["output"], "✗ 3.2 c\n")
	assert.Equal(t, map[string]any{"number": "3.3", "name": "d", "score": 0.0, "max_score": 1.0,
		"output": "not asked: see 3.2", "output_format": "text"}, results.Tests[2])
	assert.Equal(t, "failed", results.Tests[3]["status"])

	require.NoError(t, json.Unmarshal([]byte(read(t, out, "ben", "results.json")), &results))
	assert.Equal(t, "it doesn't compile:\nx.go:1: <no>", results.Output)

	wrong := filepath.Join(t.TempDir(), "weights.txt")
	require.NoError(t, os.WriteFile(wrong, []byte("3.1: 2\n"), 0o600))
	_, err := readWeights(wrong)
	assert.ErrorContains(t, err, "such as 4.2 3: 3.1: 2")
	_, err = readWeights("weights.txt")
	assert.NoError(t, err, "ours")
}

func TestJUnit(t *testing.T) {
	var all junitSuites
	require.NoError(t, xml.Unmarshal([]byte(read(t, written(t, ""), "junit.xml")), &all))
	require.Len(t, all.Suites, 2)
	ann := all.Suites[0]
	assert.Equal(t, []any{"ann", 4, 1, 1, 1}, []any{ann.Name, ann.Tests, ann.Failures, ann.Skipped, ann.Errors})
	assert.Equal(t, "3.1 a | b", ann.Cases[0].Name)
	assert.Nil(t, ann.Cases[0].Failure)
	assert.Equal(t, "✗ 3.2 c\n  got  <b>··[2J```", ann.Cases[1].Failure.Text)
	assert.Equal(t, "skipped", ann.Cases[2].Skipped.Message)
	assert.NotNil(t, ann.Cases[3].Error)
	assert.Contains(t, all.Suites[1].Problem, "it doesn't compile")
}

func TestPages(t *testing.T) {
	out := written(t, "")
	page := read(t, out, "ann", "report.html")
	assert.Contains(t, page, `<tr class="failed"><td>✗</td><td>3.2</td><td>c</td></tr>`)
	assert.Contains(t, page, "<h2>3.2 failed</h2>\n<pre>✗ 3.2 c\n  got  &lt;b&gt;")
	assert.Contains(t, page, "<h2>3.3 skipped</h2>\n<pre>not asked: see 3.2</pre>")
	assert.Contains(t, read(t, out, "ben", "report.html"), "<pre>it doesn&#39;t compile:\nx.go:1: &lt;no&gt;</pre>")

	page = read(t, out, "ann", "report.md")
	assert.Contains(t, page, "# ann, chapter 3\n\n1 of 4 milestones passed, in 12 s.\n")
	assert.Contains(t, page, "| ✓ | 3.1 a \\| b |\n| ✗ | 3.2 c |\n| – | 3.3 d |\n|   | 3.4 e |\n")
	assert.Contains(t, page, "## 3.2 failed\n\n    ✗ 3.2 c\n      got  <b>")
}
