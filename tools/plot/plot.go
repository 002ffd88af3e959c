// Package plot draws lines over an axis, as SVG. Text formats suit a
// repository: the same figures give the same bytes, and a change shows in a
// diff. WriteFiles writes each plot for light pages and for dark ones. The
// benchmarks draw with it, and package picture.
package plot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"example.com/rpcworkbook/tools/shade"
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

	// Series that belong together may have the same colour: its number, from 1,
	// and how the line is broken. 0 is the colour of the series' place.
	Colour int
	Dash   string // as in SVG; "" is a whole line
}

// A Point is a place in a Plot, in the units of its axes.
type Point struct{ X, Y float64 }

// The picture, in pixels: the frame that the axes make lies within it.
const (
	plotWidth, plotHeight                      = 820, 420
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
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`font-family="sans-serif" font-size="13" fill="#222222">`+"\n", plotWidth, plotHeight, plotWidth, plotHeight)
	fmt.Fprintf(&out, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="6" fill="#ffffff" stroke="#cccccc"/>`+"\n",
		plotWidth-1, plotHeight-1)

	const middleX, middleY = (frameLeft + frameRight) / 2, (frameTop + frameFoot) / 2
	upright := fmt.Sprintf(` transform="rotate(-90 18 %d)"`, middleY)
	text(&out, middleX, 28, "middle", ` font-size="16" font-weight="bold"`, p.Title)
	text(&out, middleX, plotHeight-16, "middle", "", p.XLabel)
	text(&out, 18, middleY, "middle", upright, p.YLabel)

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
	fmt.Fprintf(&out, `<path d="M%d %d V%d H%d" fill="none" stroke="#666666"/>`+"\n",
		frameLeft, frameTop, frameFoot, frameRight)
	for i, s := range p.Series {
		s.draw(&out, i, x, y)
	}
	out.WriteString("</svg>\n")

	_, err := w.Write(out.Bytes())
	return err
}

// draw draws the line, its marks and its entry in the legend.
func (s Series) draw(out *bytes.Buffer, place int, x, y axis) {
	i := place
	if s.Colour > 0 {
		i = s.Colour - 1
	}
	colour := colours[i%len(colours)]
	var line []string
	for _, pt := range s.Points {
		line = append(line, fmt.Sprintf("%.1f,%.1f", x.place(pt.X), y.place(pt.Y)))
	}

	dash := ""
	if s.Dash != "" {
		dash = fmt.Sprintf(` stroke-dasharray="%s"`, s.Dash)
	}
	fmt.Fprintf(out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n",
		strings.Join(line, " "), colour, dash)
	for _, pt := range s.Points {
		mark(out, i, x.place(pt.X), y.place(pt.Y), colour)
	}
	at := float64(frameTop + 12 + 24*place)
	fmt.Fprintf(out, `<path d="M%d %.1f h30" stroke="%s" stroke-width="2"%s/>`+"\n", legendLeft, at, colour, dash)
	mark(out, i, legendLeft+15, at, colour)
	text(out, legendLeft+38, at+4.5, "start", "", s.Name)
}

// mark draws the i-th series' mark: a disc, a square, a triangle or a diamond.
func mark(out *bytes.Buffer, i int, x, y float64, colour string) {
	shapes := []string{
		"m-4.5 0 a4.5 4.5 0 1 0 9 0 a4.5 4.5 0 1 0 -9 0z",
		"m-4 -4 h8 v8 h-8z",
		"m0 -5 l5 9 h-10z",
		"m0 -5.5 l5.5 5.5 l-5.5 5.5 l-5.5 -5.5z",
	}
	fmt.Fprintf(out, `<path d="M%.1f %.1f %s" fill="%s"/>`+"\n", x, y, shapes[i%len(shapes)], colour)
}

func text(out *bytes.Buffer, x, y float64, anchor, attributes, s string) {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	fmt.Fprintf(out, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n",
		x, y, anchor, attributes, escape.Replace(s))
}

// WriteFiles writes plots as files to the directory, each for light pages and
// for dark ones. It makes the directory if there is none.
func WriteFiles(dir string, plots map[string]Plot) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the plots: %w", err)
	}

	for name, p := range plots {
		var out bytes.Buffer
		if err := p.WriteSVG(&out); err != nil {
			return err
		}
		if err := shade.WriteBoth(filepath.Join(dir, name), out.Bytes()); err != nil {
			return fmt.Errorf("write the plots: %w", err)
		}
	}
	return nil
}
