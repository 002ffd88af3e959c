// A terminal that plays a recording: lines come in at the foot, at the times at
// which they came. Where nothing moves, in a viewer without CSS animation or
// for a reader who doesn't want it, the picture is the last screen.

package picture

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// The picture, in pixels.
const (
	rows, columns     = 24, 80
	cellX, cellY      = 7.8, 18 // what a character takes at fontSize
	fontSize          = 13
	margin, titleHigh = 16, 34
	width             = columns*cellX + 2*margin
	height            = titleHigh + rows*cellY + margin
)

// rest is how long the last screen stays before it all begins again.
const rest = 9 * time.Second

const style = `text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; ` +
	`fill: #222222 }
.title { fill: #666666 } .heading { font-weight: bold; fill: #111111 } .clock { fill: #666666 } ` +
	`.prompt { fill: #17692b }
@media (prefers-reduced-motion: no-preference) { .roll { animation: roll %.1fs step-end infinite } }
@keyframes roll {
`

// WriteSVG writes the recording as a picture. The table of times and heights
// that moves it is in its style.
func (r Recording) WriteSVG(w io.Writer) error {
	lines := append([]Line{{Text: "$ " + r.Command}}, r.Lines...)
	end := lines[len(lines)-1].At
	cycle := (end + rest).Seconds()

	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" `+
		`role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, "<title>%s, played as it ran</title>\n<style>\n"+style, escape(r.Command), cycle)
	for i, line := range lines {
		if i+1 == len(lines) || lines[i+1].At > line.At { // the last of those that come together
			percent := 100 * line.At.Seconds() / cycle
			fmt.Fprintf(&out, "%.3f%% { transform: translateY(%dpx) }\n", percent, (rows-1-i)*cellY)
		}
	}
	out.WriteString("}\n</style>\n")

	fmt.Fprintf(&out, `<rect width="%.0f" height="%d" rx="8" fill="#f4f4f4" stroke="#cccccc"/>`+"\n", width, height)
	fmt.Fprintf(&out, `<text class="title" x="%d" y="22">%s, played as it ran: %.1f seconds</text>`+"\n",
		margin, escape(r.Command), end.Seconds())

	fmt.Fprintf(&out, `<svg x="%d" y="%d" width="%.0f" height="%d">`+"\n", margin, titleHigh, columns*cellX, rows*cellY)
	fmt.Fprintf(&out, `<g class="roll" transform="translate(0 %d)">`+"\n", (rows-len(lines))*cellY)
	for i, line := range lines {
		if strings.TrimSpace(line.Text) != "" {
			draw(&out, i, line.Text)
		}
	}
	out.WriteString("</g>\n</svg>\n</svg>\n")

	_, err := w.Write(out.Bytes())
	return err
}

var (
	piece   = regexp.MustCompile(`#+|[^ #]+( [^ #]+)*`) // a bar, or words with one space between
	heading = regexp.MustCompile(`^[0-9]\. `)
)

// draw draws a line. Each piece is put at its own column and stretched to its
// width, so that tables stand in any font.
func draw(out *bytes.Buffer, row int, text string) {
	text = strings.ReplaceAll(text, "’", "'")
	top := row * cellY
	for i, at := range piece.FindAllStringIndex(text, -1) {
		words, before := text[at[0]:at[1]], text[:at[0]]
		x, long := float64(at[0])*cellX, float64(len(words))*cellX
		if words[0] == '#' {
			fill := "#3f8ae0" // A's, as on a terminal
			if strings.HasSuffix(before, "B ") {
				fill = "#c06fd6"
			}
			fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.1f" height="12" fill="%s"/>`+"\n", x, top+3, long, fill)
			continue
		}

		class := ""
		switch {
		case heading.MatchString(text):
			class = ` class="heading"`
		case row == 0:
			class = ` class="prompt"`
		case i == 0 && clock.MatchString(text):
			class = ` class="clock"`
		}
		fmt.Fprintf(out, `<text%s x="%.1f" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s</text>`+"\n",
			class, x, top+fontSize, long, escape(words))
	}
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
