// Drawing what a specification has said, or what a program has in its name.

package grade

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/runpicture"
)

func TestDraw(t *testing.T) {
	const event = `{"Kind": 5, "To": [{"Place": 2, "Number": 7}], "Text": "<b>"}`
	run := func(events string) []byte { return []byte(`{"Title": "1.1 a", "Events": [` + events + `]}`) }
	page := draw(run(event))
	assert.Contains(t, page, "1.1 a</h1>")
	assert.Contains(t, page, "&lt;b&gt;")
	assert.Contains(t, draw(append(run(event), `{"Title": "1.1 of the whole"}`...)), "1.1 a</h1>", "the first one")

	many := func(n int, what string) string { return strings.TrimSuffix(strings.Repeat(what+",", n), ",") }
	for what, text := range map[string][]byte{
		"nothing":     nil,
		"no JSON":     []byte("<script>"),
		"half":        run(event)[:30],
		"many events": run(many(maxEvents+1, event)),
		"many arrows": run(`{"Kind": 5, "To": [` + many(maxEnds+1, "{}") + `]}`),
		"long":        run(`{"Text": "` + strings.Repeat("x", maxPicture) + `"}`),
		"other JSON":  []byte(`{"Events": 7}`),
	} {
		assert.Empty(t, draw(text), what)
	}
}

// Of pictures without end, some are kept.
func TestManyPictures(t *testing.T) {
	l := newListener(func(string) {})
	part := strings.Repeat("x", 8<<10)
	for i := range 2 * maxPictures / len(part) {
		l.take(fmt.Sprintf("%s1.%d %s\n", runpicture.OutputLine, i, part))
	}
	size := 0
	for _, text := range l.pictures {
		size += len(text)
	}
	assert.Greater(t, size, maxPictures/2)
	assert.LessOrEqual(t, size, maxPictures)
	assert.Zero(t, l.said[""].Len(), "it is in no report")
}

// A student gets one picture, and a link to it beside the report.
func TestTheFirstPicture(t *testing.T) {
	c := &Class{Step: "3", Out: t.TempDir()}
	require.NoError(t, os.MkdirAll(filepath.Join(c.Out, "ann"), 0o755))
	for _, number := range []string{"3.1", "3.3"} {
		require.NoError(t, os.WriteFile(filepath.Join(c.Out, "ann", pictureFile(number)), []byte("old"), 0o644))
	}
	r := &Result{Who: "ann", Verdicts: []Verdict{
		{Number: "3.1", Status: Failed, Report: "✗ 3.1, killed"},
		{Number: "3.2", Status: Failed, Report: "✗ 3.2", Picture: "<html>2"},
		{Number: "3.3", Status: Failed, Report: "✗ 3.3", Picture: "<html>3"},
	}}
	r.fill(&test{})
	require.NoError(t, c.write([]*Result{r}))

	assert.Equal(t, "<html>2", read(t, c.Out, "ann", "picture-3.2.html"))
	assert.NoFileExists(t, filepath.Join(c.Out, "ann", "picture-3.1.html"))
	assert.NoFileExists(t, filepath.Join(c.Out, "ann", "picture-3.3.html"))
	page := read(t, c.Out, "ann", "report.html")
	assert.Contains(t, page, "<pre>✗ 3.2</pre>\n"+
		`<p>The run as a picture: <a href="picture-3.2.html">picture-3.2.html</a></p>`)
	assert.Equal(t, 1, strings.Count(page, "href"))
	page = read(t, c.Out, "ann", "report.md")
	assert.Contains(t, page, "    ✗ 3.2\n\nThe run as a picture: [picture-3.2.html](picture-3.2.html)\n")
}
