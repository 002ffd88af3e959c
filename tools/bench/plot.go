// Plots: lines over an axis, written as SVG. Text formats suit a repository:
// the same figures give the same bytes, and a change shows in a diff. The
// picture brings its own background, so it can be read on a light page and on
// a dark one.

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// A Plot is one picture.
type Plot struct {
	Title, XLabel, YLabel string
	LogX, LogY            bool // logarithmic axes, which have no place for 0 and less
	Series                []Series
}

// A Series is one line of a Plot and its name in the legend.
type Series struct {
	Name   string
	Points []Point // in the order in which the line goes through them
}

// A Point is a place in a Plot, in the units of its axes.
type Point struct{ X, Y float64 }

// The picture, in pixels: the frame that the axes make lies within it.
const (
	plotWidth, plotHeight                      = 760, 420
	frameLeft, frameRight, frameTop, frameFoot = 74, 560, 46, 360
	legendLeft                                 = 580
)

// Colours that colour-blind readers tell apart (after Okabe and Ito). Each
// line has a mark of its own shape as well.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5c00", "#444444"}

// WriteSVG writes the picture. It returns an error, and writes nothing, when
// there is nothing to draw or a figure has no place on its axis.
func (p Plot) WriteSVG(w io.Writer) error {
	x := axis{log: p.LogX, from: frameLeft, to: frameRight}
	y := axis{log: p.LogY, from: frameFoot, to: frameTop}
	for _, s := range p.Series {
		for _, pt := range s.Points {
			x.values = append(x.values, pt.X)
			y.values = append(y.values, pt.Y)
		}
	}
	if err := errors.Join(x.fit(), y.fit()); err != nil {
		return fmt.Errorf("plot %q: %w", p.Title, err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" fill="#222222">`+"\n",
		plotWidth, plotHeight, plotWidth, plotHeight)
	fmt.Fprintf(&out, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="6" fill="#ffffff" stroke="#cccccc"/>`+"\n", plotWidth-1, plotHeight-1)
	text(&out, (frameLeft+frameRight)/2, 28, "middle", ` font-size="16" font-weight="bold"`, p.Title)
	text(&out, (frameLeft+frameRight)/2, plotHeight-16, "middle", "", p.XLabel)
	text(&out, 18, (frameTop+frameFoot)/2, "middle", fmt.Sprintf(` transform="rotate(-90 18 %d)"`, (frameTop+frameFoot)/2), p.YLabel)
	for _, tick := range x.dataTicks() {
		at := x.place(tick)
		fmt.Fprintf(&out, `<path d="M%.1f %d V%d" stroke="#e4e4e4"/>`+"\n", at, frameTop, frameFoot)
		text(&out, at, frameFoot+20, "middle", "", exact(tick))
	}
	for _, tick := range y.ticks() {
		at := y.place(tick)
		fmt.Fprintf(&out, `<path d="M%d %.1f H%d" stroke="#e4e4e4"/>`+"\n", frameLeft, at, frameRight)
		text(&out, frameLeft-8, at+4.5, "end", "", number(tick))
	}
	fmt.Fprintf(&out, `<path d="M%d %d V%d H%d" fill="none" stroke="#666666"/>`+"\n", frameLeft, frameTop, frameFoot, frameRight)
	for i, s := range p.Series {
		s.draw(&out, i, x, y)
	}
	out.WriteString("</svg>\n")
	_, err := w.Write(out.Bytes())
	return err
}

// draw draws the line, its marks and its entry in the legend.
func (s Series) draw(out *bytes.Buffer, i int, x, y axis) {
	colour := colours[i%len(colours)]
	var line []string
	for _, pt := range s.Points {
		line = append(line, fmt.Sprintf("%.1f,%.1f", x.place(pt.X), y.place(pt.Y)))
	}
	fmt.Fprintf(out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), colour)
	for _, pt := range s.Points {
		mark(out, i, x.place(pt.X), y.place(pt.Y), colour)
	}
	at := float64(frameTop + 12 + 24*i)
	fmt.Fprintf(out, `<path d="M%d %.1f h24" stroke="%s" stroke-width="2"/>`+"\n", legendLeft, at, colour)
	mark(out, i, legendLeft+12, at, colour)
	text(out, legendLeft+32, at+4.5, "start", "", s.Name)
}

// mark draws the i-th series' mark: a disc, a square, a triangle or a diamond.
func mark(out *bytes.Buffer, i int, x, y float64, colour string) {
	shapes := []string{"m-4.5 0 a4.5 4.5 0 1 0 9 0 a4.5 4.5 0 1 0 -9 0z", "m-4 -4 h8 v8 h-8z", "m0 -5 l5 9 h-10z", "m0 -5.5 l5.5 5.5 l-5.5 5.5 l-5.5 -5.5z"}
	fmt.Fprintf(out, `<path d="M%.1f %.1f %s" fill="%s"/>`+"\n", x, y, shapes[i%len(shapes)], colour)
}

func text(out *bytes.Buffer, x, y float64, anchor, attributes, s string) {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, attributes, escape.Replace(s))
}

// An axis places values between two pixels.
type axis struct {
	log      bool
	from, to float64
	values   []float64
	min, max float64 // the values at from and to
}

// fit chooses the ends: a linear axis begins at 0, where ratios can be seen
// by eye, and a logarithmic one at a tick.
func (a *axis) fit() error {
	if len(a.values) == 0 {
		return errors.New("no points")
	}
	a.min, a.max = math.Inf(1), math.Inf(-1)
	for _, v := range a.values {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || a.log && v == 0 {
			return fmt.Errorf("%v has no place on the axis", v)
		}
		a.min, a.max = min(a.min, v), max(a.max, v)
	}
	if a.log {
		a.min, a.max = down125(a.min), -down125(-a.max)
		if a.min == a.max {
			a.min, a.max = a.min/10, a.max*10
		}
		return nil
	}
	if a.min = 0; a.max == 0 {
		a.max = 1
	}
	step := a.step()
	a.max = math.Ceil(a.max/step-1e-9) * step
	return nil
}

// place returns the pixel of a value.
func (a *axis) place(v float64) float64 {
	share := (v - a.min) / (a.max - a.min)
	if a.log {
		share = math.Log(v/a.min) / math.Log(a.max/a.min)
	}
	return a.from + share*(a.to-a.from)
}

// step is the distance of about five ticks of a linear axis: 1, 2 or 5 times a
// power of ten.
func (a *axis) step() float64 {
	return -down125(-a.max / 6)
}

// ticks are round numbers.
func (a *axis) ticks() (ticks []float64) {
	if !a.log {
		step := a.step()
		for i := 0.0; i*step <= a.max*1.001; i++ {
			ticks = append(ticks, i*step)
		}
		return ticks
	}
	// All of 1, 2, 5 as far as there is room for them, the powers of ten alone beyond.
	few := a.max/a.min > 3000
	for decade := math.Pow(10, math.Floor(math.Log10(a.min)+1e-9)); decade <= a.max*1.001; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if v := m * decade; v >= a.min*0.999 && v <= a.max*1.001 && (m == 1 || !few) {
				ticks = append(ticks, v)
			}
		}
	}
	return ticks
}

// dataTicks are the values themselves if there are so few that their labels
// don't touch: a reader wants to know where it was measured.
func (a *axis) dataTicks() []float64 {
	const room = 36
	var ticks []float64
	for _, v := range sortedUnique(a.values) {
		if n := len(ticks); n > 0 && math.Abs(a.place(v)-a.place(ticks[n-1])) < room {
			return a.ticks()
		}
		ticks = append(ticks, v)
	}
	return ticks
}

// down125 returns the next 1, 2 or 5 times a power of ten towards -∞; negated
// twice, it goes up.
func down125(v float64) float64 {
	if v < 0 {
		up := -v
		for _, m := range []float64{1, 2, 5, 10} {
			if r := m * math.Pow(10, math.Floor(math.Log10(up)+1e-9)); r >= up*(1-1e-9) {
				return -r
			}
		}
	}
	decade := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, m := range []float64{5, 2} {
		if m*decade <= v*(1+1e-9) {
			return m * decade
		}
	}
	return decade
}

// exact writes the label of a value that was chosen: 10000 as 10,000. Longer
// ones would touch.
func exact(v float64) string {
	if v < 1000 || v >= 1e6 {
		return number(v)
	}
	return grouped(v)
}

// grouped writes a whole number in groups of three digits.
func grouped(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number writes the label of a round value, short.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
