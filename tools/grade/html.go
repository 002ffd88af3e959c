// The page of a student, as HTML.

package grade

import (
	"bytes"
	_ "embed"
	"html/template"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// html returns the page of one student, which needs no other file, and links to
// the picture if there is one.
func (c *Class) html(r *Result) ([]byte, error) {
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{"Result": r, "Step": c.Step, "Score": r.score(), "Signs": signs})
	return b.Bytes(), err
}
