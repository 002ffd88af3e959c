// Drawing: the lanes and what happened on them, as elements of an SVG whose
// classes say what they are. Colours are the matter of the style around it.

package runpicture

import (
	"fmt"
	"html"
	"maps"
	"strconv"
	"strings"
)

// Pixels.
const (
	timeWidth = 84 // of the times on the left
	rowHeight = 24
	pauseRoom = 16 // what a long pause adds between two rows
	longPause = 0.25

	margin   = 16 // on the right of the lanes
	pidPitch = 48 // between lanes that have room for a pid
)

// A row is an event, and where it is drawn.
type row struct {
	Event
	y     int
	pause float64 // seconds since the row above, if those are many
}

// rowsOf returns what is drawn, and how high that is.
func rowsOf(events []Event) (rows []row, height int) {
	y := rowHeight / 2
	var last float64
	for _, e := range events {
		r := row{Event: e}
		if pause := e.At.Seconds() - last; pause > longPause && len(rows) > 0 {
			r.pause = pause
			y += pauseRoom
		}
		last = e.At.Seconds()

		r.y = y
		rows = append(rows, r)
		y += rowHeight
	}
	return rows, y + rowHeight/2
}

// drawing is an SVG in the making.
type drawing struct {
	strings.Builder
	*lanes
	rows   []row
	height int
	served map[Lane]Lane // by connection: the process at its other end
}

// draw returns the elements of all rows.
func draw(l *lanes, rows []row, height int) string {
	d := &drawing{lanes: l, rows: rows, height: height, served: map[Lane]Lane{}}
	for _, r := range rows {
		if r.Kind == Held {
			d.served[r.Lane] = r.To[0]
		}
	}

	d.lines()
	for _, r := range rows {
		d.event(r)
	}
	return d.String()
}

// lines draws the lifelines: those of processes and connections from birth to
// death, and for a zombie's time another one.
func (d *drawing) lines() {
	born, dead := map[Lane]int{}, map[Lane]int{}
	stroke := func(class string, lane Lane, from, to int) {
		fmt.Fprintf(d, `<path class="%s" d="M%d %dV%d"/>`+"\n", class, d.x(lane), from, to)
	}

	for lane := range d.early() {
		born[lane] = 0
	}
	for _, r := range d.rows {
		switch r.Kind {
		case Opened, Born:
			for _, lane := range r.To {
				born[lane] = r.y
			}
		case Closed, Zombie, Gone:
			for _, lane := range r.To {
				if from, ok := born[lane]; ok {
					stroke("life", lane, from, r.y)
				}
				if from, ok := dead[lane]; ok {
					stroke("undead", lane, from, r.y)
				}
				delete(born, lane)
				delete(dead, lane)
				if r.Kind == Zombie {
					dead[lane] = r.y
				}
			}
		}
	}

	for _, r := range d.rows { // and not the maps, whose order is another each time
		for _, lane := range append([]Lane{r.Lane}, r.To...) {
			if from, ok := born[lane]; ok {
				stroke("life", lane, from, d.height)
			}
			if from, ok := dead[lane]; ok {
				stroke("undead", lane, from, d.height)
			}
			delete(born, lane)
			delete(dead, lane)
		}
	}
	for _, c := range d.columns {
		if c.place != AtConn && c.place != AtProcess {
			stroke("life", c.lane, 0, d.height)
		}
	}
}

// early returns the processes and connections that were there before the first
// row.
func (d *drawing) early() map[Lane]bool {
	known, early := map[Lane]bool{}, map[Lane]bool{}
	for _, r := range d.rows {
		for _, lane := range append([]Lane{r.Lane}, r.To...) {
			if known[lane] || lane.Place != AtConn && lane.Place != AtProcess {
				continue
			}
			known[lane] = true
			early[lane] = r.Kind != Born && r.Kind != Opened
		}
	}

	maps.DeleteFunc(early, func(_ Lane, was bool) bool { return !was })
	return early
}

// event draws what a row shows.
func (d *drawing) event(r row) {
	if r.pause > 0 {
		fmt.Fprintf(d, `<path class="pause" d="M%d %dH%d"/>`+"\n", timeWidth, r.y-(rowHeight+pauseRoom)/2, d.width())
	}

	x := d.x(r.Lane)
	switch r.Kind {
	case Frame, Reply, Answer:
		d.arrow(r)
	case Signal:
		for _, to := range r.To {
			d.stroke("signal", x, d.x(to), r.y)
		}
	case Born, Zombie, Gone, Opened, Closed:
		d.lives(r)
	case Parted:
		fmt.Fprintf(d, `<path class="parted" d="M%d %dH%d"/>`+"\n", timeWidth-8, r.y, d.width())
	case Left:
		fmt.Fprintf(d, `<path class="left" d="M%d %dH%d"/>`+"\n", timeWidth, r.y, d.width())
	case Held:
		d.stroke("held", x, d.x(r.To[0]), r.y)
	case Act:
		fmt.Fprintf(d, `<path class="act" d="M%d %dl6 6l-6 6l-6 -6z"/>`+"\n", x, r.y-6)
	default:
		fmt.Fprintf(d, `<circle class="seen" cx="%d" cy="%d" r="3.5"/>`+"\n", x, r.y)
	}
}

// arrow draws what travels. On a connection of the test its other end is the
// process that serves it, once anybody has found that out.
func (d *drawing) arrow(r row) {
	from, to := r.Lane, r.Lane
	if len(r.To) > 0 {
		to = r.To[0]
	}
	class := "frame"
	if r.Kind != Frame {
		class = "reply"
	}

	process, ok := d.served[from]
	if ok && r.Kind == Frame {
		to = process
	}
	process, ok = d.served[to]
	if ok && r.Kind == Reply {
		from = process
	}
	d.stroke(class, d.x(from), d.x(to), r.y)
}

// stroke draws an arrow, or a disc where it has no way to go.
func (d *drawing) stroke(class string, from, to, y int) {
	if from == to {
		fmt.Fprintf(d, `<circle class="%s" cx="%d" cy="%d" r="4"/>`+"\n", class, from, y)
		return
	}
	point := 7
	if to < from {
		point = -7
	}
	fmt.Fprintf(d, `<path class="%s" d="M%d %dH%dm%d -4l%d 4l%d 4"/>`+"\n", class, from, y, to, -point, point, -point)
}

// lives draws what became of processes and connections.
func (d *drawing) lives(r row) {
	for _, lane := range r.To {
		x := d.x(lane)

		switch r.Kind {
		case Opened:
			fmt.Fprintf(d, `<circle class="seen" cx="%d" cy="%d" r="3.5"/>`+"\n", x, r.y)
		case Closed:
			fmt.Fprintf(d, `<path class="closed" d="M%d %dh8"/>`+"\n", x-4, r.y)
		case Born:
			fmt.Fprintf(d, `<circle class="born" cx="%d" cy="%d" r="5"/>`+"\n", x, r.y)
			if len(r.To) == 1 || d.pitch >= pidPitch {
				d.label("pid", x+8, r.y+4, strconv.Itoa(lane.Number))
			}
		case Zombie:
			d.label("zombie", x-5, r.y+5, "Z")
		case Gone:
			fmt.Fprintf(d, `<path class="gone" d="M%d %dl8 8m0 -8l-8 8"/>`+"\n", x-4, r.y-4)
		}
	}
}

func (d *drawing) label(class string, x, y int, text string) {
	fmt.Fprintf(d, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(text))
}
