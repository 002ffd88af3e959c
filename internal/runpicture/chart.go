// The chart: a few events as one SVG, for a text. It is drawn in the light
// colours of the workbook's other pictures.

package runpicture

import (
	"fmt"
	"html"
	"strings"
)

// What a chart's elements look like; package shade of tools knows the colours.
const chartStyle = `text { font: 13px sans-serif; fill: #222222 } .head { font-weight: bold; text-anchor: middle }
.time { fill: #444444; font-size: 12px; text-anchor: end }
.did { font-weight: bold } .failed { font-weight: bold; fill: #b3261e }
.life { stroke: #cccccc; stroke-width: 2; fill: none }
.undead { stroke: #b3261e; stroke-width: 4; stroke-dasharray: 2 4; fill: none }
.pause { stroke: #cccccc; stroke-dasharray: 1 5; fill: none }
path.left { stroke: #666666; stroke-dasharray: 6 4; fill: none }
path.frame, path.reply, path.signal { fill: none; stroke-width: 2 } .frame { stroke: #0072b2; fill: #0072b2 }
.reply { stroke: #009e73; fill: #009e73 } .signal { stroke: #b3261e; fill: #b3261e }
.parted { stroke: #b3261e; stroke-width: 3; fill: none } .act { fill: #d55e00 }
.seen { fill: #ffffff; stroke: #666666; stroke-width: 1.6 }
.born { fill: #009e73 } .gone { stroke: #222222; stroke-width: 2.2; fill: none }
text.pid { font-size: 10px; fill: #444444 } text.zombie { font-weight: bold; font-size: 14px; fill: #b3261e }
`

// The chart, in pixels.
const (
	chartHead  = 68
	chartRoom  = 440 // for all lanes
	chartText  = 420 // for the words beside them
	chartWords = 62  // letters that have room there
)

// Chart returns the run's events as an SVG.
func (r Run) Chart() []byte {
	events := condense(r.Events)
	l := layOut(events, chartRoom)
	rows, height := rowsOf(events)
	width := l.width() + chartText

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`role="img">`+"\n", width, height+chartHead, width, height+chartHead)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>\n%s</style>\n", html.EscapeString(r.Title), chartStyle)
	fmt.Fprintf(&b, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="6" fill="#ffffff" stroke="#cccccc"/>`+"\n",
		width-1, height+chartHead-1)

	for _, c := range l.columns {
		name, more := l.heading(c)
		place := fmt.Sprintf(`x="%d" y="58"`, c.x)
		if l.pitch < narrow {
			place = fmt.Sprintf(`transform="translate(%d 62) rotate(-60)" `+
				`style="text-anchor: start; font-size: 10px"`, c.x+4)
		}
		fmt.Fprintf(&b, `<text class="head" %s>%s</text>`+"\n", place, html.EscapeString(name))
		if l.pitch >= narrow && more != "" {
			fmt.Fprintf(&b, `<text class="time" style="text-anchor: middle" x="%d" y="42">%s</text>`+"\n", c.x, more)
		}
	}

	fmt.Fprintf(&b, `<g transform="translate(0 %d)">`+"\n%s", chartHead, draw(l, rows, height))
	for _, row := range rows {
		fmt.Fprintf(&b, `<text class="time" x="%d" y="%d">%.3f s</text>`+"\n", timeWidth-10, row.y+4, row.At.Seconds())
		if row.pause > 0 {
			fmt.Fprintf(&b, `<text class="time" style="font-size: 10.5px" x="%d" y="%d">%.1f s later</text>`+"\n",
				timeWidth-10, row.y-(rowHeight+pauseRoom)/2+4, row.pause)
		}
		fmt.Fprintf(&b, `<text class="%s" x="%d" y="%d">%s</text>`+"\n",
			classes[row.Kind], l.width()+4, row.y+4, html.EscapeString(words(row.Event)))
	}
	b.WriteString("</g>\n</svg>\n")
	return []byte(b.String())
}

// words returns what an event says, as far as there is room in a chart. Of many
// processes it says how many they are.
func words(e Event) string {
	text := firstLine(e.brief())
	if n := len(e.To); n > 3 {
		signal, _, _ := strings.Cut(e.Text, " ")
		switch e.Kind {
		case Signal:
			text = fmt.Sprintf("%s to %d processes", signal, n)
		case Born:
			text = fmt.Sprintf("%d processes began", n)
		case Zombie:
			text = fmt.Sprintf("%d ended, and not yet reaped: zombies", n)
		case Gone:
			text = fmt.Sprintf("%d gone", n)
		}
	}

	runes := []rune(text)
	if len(runes) > chartWords {
		return string(runes[:chartWords-1]) + "…"
	}
	return string(runes)
}
