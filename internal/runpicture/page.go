// The page: a picture as one HTML file that needs no other, no script and no
// network.

package runpicture

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// A Run is what a picture is of.
type Run struct {
	Title  string // the milestone's number and sentence, or the test's name
	Failed bool
	Report string // what the test said, several lines
	Events []Event
}

// OutputLine is how a line of a test's output begins that has a part of a Run;
// the milestone's number, a blank and the part follow. All parts together are
// the Run as JSON. The first byte is the one that package testing puts in front
// of its own lines with -test.v=test2json: what a program prints never comes to
// the beginning of a line there.
const OutputLine = "\x16=== PICTURE "

// A heading stands above a column.
type heading struct {
	X, Width   int
	Name, More string
}

// A line is what the page shows of a row, beside the lanes.
type line struct {
	Top, Height        int
	Time, Text, Detail string
	Pause              string

	Class, ID string
}

// Page returns the picture. Its size is bounded, as that of a Log is.
func (r Run) Page() ([]byte, error) {
	l := layOut(r.Events, pageRoom)
	rows, height := rowsOf(condense(r.Events))

	var headings []heading
	for _, c := range l.columns {
		name, more := l.heading(c)
		headings = append(headings, heading{c.x - l.pitch/2, l.pitch, name, more})
	}

	var lines []line
	for _, row := range rows {
		shown := line{
			Top: row.y - rowHeight/2, Height: rowHeight, Time: fmt.Sprintf("%.3f s", row.At.Seconds()),
			Text: firstLine(row.brief()), Detail: row.detail(), Class: classes[row.Kind],
		}
		if row.Kind == Parted {
			shown.ID = "parted"
		}
		if row.pause > 0 {
			shown.Pause = fmt.Sprintf("%.1f s later", row.pause)
		}
		lines = append(lines, shown)
	}

	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Run": r, "Lines": lines, "Headings": headings, "Narrow": l.pitch < narrow,
		"Width": l.width(), "Height": height,
		"Drawing": template.HTML(draw(l, rows, height)), // of numbers, and escaped
	})
	if err != nil {
		return nil, fmt.Errorf("draw the run: %w", err)
	}
	return b.Bytes(), nil
}

// classes are the ones of lines, for the style.
var classes = map[Kind]string{
	Act: "did", Signal: "did", Parted: "failed", Left: "quiet", Said: "quiet", Held: "quiet", Opened: "quiet",
	Closed: "quiet",
}

// pageRoom is that for all lanes.
const pageRoom = 860

// narrow is the distance of columns below which their headings stand upright.
const narrow = 82

// maxText is how many bytes of a text stand beside the lanes.
const maxText = 160

// firstLine returns what there is room for in a row.
func firstLine(text string) string {
	first, _, more := strings.Cut(text, "\n")
	if len(first) > maxText {
		first, more = strings.ToValidUTF8(first[:maxText], ""), true
	}
	if more {
		first += " …"
	}
	return first
}
