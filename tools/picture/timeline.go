// The timeline: who answered how many calls during a run of the demo, and what
// happened meanwhile. It is what the README shows first, and doesn't move.

package picture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"example.com/rpcworkbook/tools/figures"
)

// A sample is a line of the demo's about the time since the line before.
type sample struct {
	from, to float64 // seconds
	calls    [2]int  // answered by A and by B
}

// A moment is when something happened to a server.
type moment struct {
	at     float64
	server int // 0 is A
	what   string
}

// A Timeline is a run of the demo.
type Timeline struct {
	samples       []sample
	moments       []moment
	calls, failed int // in all
}

var (
	sampled = regexp.MustCompile(`^ *([0-9.]+)s  A .*? +([0-9]+)   B .*? +([0-9]+)   failed [0-9]+$`)
	happens = regexp.MustCompile(`^ *([0-9.]+)s  (\S.*?)  +\S`)
	counted = regexp.MustCompile(`^  calls +([0-9]+);`)
	lost    = regexp.MustCompile(`^  failed +([0-9]+)$`)
)

// said is what the timeline calls the moments of the demo's table.
var said = map[string]moment{
	"A starts":                    {server: 0, what: "start"},
	"B starts":                    {server: 1, what: "start"},
	"B is told to stop: SIGTERM":  {server: 1, what: "stop: SIGTERM"},
	"B starts again":              {server: 1, what: "start again"},
	"worker of A killed: SIGKILL": {server: 0, what: "a worker: SIGKILL"},
	"master of A killed: SIGKILL": {server: 0, what: "the master: SIGKILL"},
}

// Timeline returns what the recording of the demo says of a whole run.
func (r Recording) Timeline() (Timeline, error) {
	var t Timeline
	var last float64
	table := false

	for _, line := range r.Lines {
		text := line.Text
		table = table || strings.HasPrefix(text, "  time  ")
		if m := sampled.FindStringSubmatch(text); m != nil {
			s := sample{from: last, to: number(m[1])}
			s.calls = [2]int{int(number(m[2])), int(number(m[3]))}
			last = s.to
			t.samples = append(t.samples, s)
		}
		if m := happens.FindStringSubmatch(text); m != nil && table {
			moment, ok := said[m[2]]
			if !ok {
				return t, fmt.Errorf("draw the timeline: nobody knows of %q", m[2])
			}
			moment.at = number(m[1])
			t.moments = append(t.moments, moment)
		}
		if m := counted.FindStringSubmatch(text); m != nil {
			t.calls = int(number(m[1]))
		}
		if m := lost.FindStringSubmatch(text); m != nil {
			t.failed = int(number(m[1]))
		}
	}

	if len(t.samples) == 0 || len(t.moments) != len(said) || t.calls == 0 {
		return t, errors.New("draw the timeline: the recording is not of a whole run of the demo")
	}
	return t, nil
}

// number reads what an expression has found.
func number(digits string) float64 {
	v, _ := strconv.ParseFloat(digits, 64)
	return v
}

// The timeline, in pixels.
const (
	lineWidth, lineHeight = 760, 330
	lineLeft, lineRight   = 88, 744
	barHeight             = 74
)

// The foot of each server's bars, and their colours.
var (
	feet  = [2]int{158, 272}
	fills = [2]string{"#0072b2", "#cc79a7"}
)

// WriteSVG writes the timeline.
func (t Timeline) WriteSVG(w io.Writer) error {
	end := t.samples[len(t.samples)-1].to + 0.5
	x := func(seconds float64) float64 { return lineLeft + (lineRight-lineLeft)*seconds/end }
	var out bytes.Buffer
	text := func(x, y float64, attributes, s string) {
		fmt.Fprintf(&out, `<text x="%.1f" y="%.1f" %s>%s</text>`+"\n", x, y, attributes, escape(s))
	}

	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`font-family="sans-serif" font-size="13" fill="#222222" role="img">`+"\n",
		lineWidth, lineHeight, lineWidth, lineHeight)
	fmt.Fprintf(&out, "<title>Calls answered by two servers, over the seconds of a run of the demo</title>\n")
	fmt.Fprintf(&out, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="6" fill="#ffffff" stroke="#cccccc"/>`+"\n",
		lineWidth-1, lineHeight-1)
	text(20, 30, `font-size="17" font-weight="bold"`, "Servers stop, crash and come back; the calls go on")
	failed := `font-size="17" font-weight="bold" text-anchor="end" fill="#17692b"`
	text(lineRight, 30, failed, fmt.Sprintf("%d of %s calls failed", t.failed, figures.Grouped(t.calls)))

	for second := 0.0; second < end; second += 2 {
		fmt.Fprintf(&out, `<path d="M%.1f 52V%d" stroke="#e4e4e4"/>`+"\n", x(second), feet[1])
		text(x(second), float64(feet[1])+20, `text-anchor="middle"`, fmt.Sprintf("%.0f s", second))
	}
	text(lineRight, lineHeight-12, `text-anchor="end" fill="#444444" font-size="12.5"`,
		"height of a bar: calls answered a second, of 8 callers")

	most := 0.0
	for _, s := range t.samples {
		most = max(most, s.rate(0), s.rate(1))
	}
	for server, name := range []string{"server A", "server B"} {
		foot := feet[server]
		text(20, float64(foot)-26, fmt.Sprintf(`font-weight="bold" fill="%s"`, fills[server]), name)
		for _, s := range t.samples {
			high := s.rate(server) / most * barHeight
			fmt.Fprintf(&out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n",
				x(s.from)+1, float64(foot)-high, x(s.to)-x(s.from)-2, high, fills[server])
		}
		fmt.Fprintf(&out, `<path d="M%d %dH%d" stroke="#666666"/>`+"\n", lineLeft, foot, lineRight)
	}

	for i, m := range t.moments {
		t.mark(&out, i, m, x(m.at))
	}
	out.WriteString("</svg>\n")
	_, err := w.Write(out.Bytes())
	return err
}

// rate returns the calls a second that a server answered.
func (s sample) rate(server int) float64 {
	return float64(s.calls[server]) / max(s.to-s.from, 0.1)
}

// mark draws a moment: a line down to the foot of its server, and its name
// above the bars, on the side where the next one leaves room.
func (t Timeline) mark(out *bytes.Buffer, i int, m moment, x float64) {
	foot := feet[m.server]
	colour := "#444444"
	if strings.Contains(m.what, "SIG") {
		colour = "#b3261e"
	}

	anchor, shift := "start", 4.0
	for _, next := range t.moments[i+1:] {
		if next.server == m.server && next.at-m.at < 3 {
			anchor, shift = "end", -4
		}
	}

	top := foot - barHeight - 18
	fmt.Fprintf(out, `<path d="M%.1f %dV%d" stroke="%s" stroke-width="1.6"/>`+"\n", x, top, foot, colour)
	fmt.Fprintf(out, `<text x="%.1f" y="%d" text-anchor="%s" font-size="12.5" font-weight="bold" fill="%s">`+
		"%s</text>\n", x+shift, top+10, anchor, colour, escape(m.what))
}
