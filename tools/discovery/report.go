// The report: what was measured, as tables and as a plot.

//go:build linux

package discovery

import (
	"fmt"
	"slices"
	"strconv"

	"example.com/rpcworkbook/tools/figures"
	"example.com/rpcworkbook/tools/plot"
)

// A Report is what was measured.
type Report struct {
	Figures []Figure
	Delays  []WatchDelay
}

// A WatchDelay is how long it takes until clients know of a change in a list.
type WatchDelay struct {
	Servers, Clients  int
	Median, P99, Last float64 // milliseconds; Last is the median over the rounds of the last client's delay
}

// A Figure is one thing that was measured several times.
type Figure struct {
	What   string
	Unit   string    // "ms"; "" for a number of things
	Values []float64 // in that unit
	Target string    // in words; "" if there is none
	Most   float64   // the target: what the 99th percentile may be
}

// p99 is the value that 99 % of the values don't exceed: of fewer than 100
// values, the greatest.
func (f Figure) p99() float64 { return figures.NearestRank(f.Values, 99) }

// verdict says whether the target was met.
func (f Figure) verdict() string {
	switch {
	case f.Target == "":
		return ""
	case len(f.Values) == 0:
		return "not measured"
	case f.p99() <= f.Most:
		return "met"
	}
	return "not met"
}

// Tables returns the tables: what was measured, and the delays of watches.
func (r *Report) Tables() []figures.Table {
	all := figures.Table{
		Title:   "Between ZooKeeper, servers and clients",
		Heading: []string{"measured", "target", "median", "p99", "least … most", "values", "target met?"},
	}
	for _, f := range r.Figures {
		row := []string{f.What, f.Target, "", "", "", strconv.Itoa(len(f.Values)), f.verdict()}
		if len(f.Values) > 0 {
			s, format := figures.SpreadOf(f.Values), figures.Unit(f.Unit)
			row[2], row[3], row[4] = format(s.Median), format(f.p99()), s.Range(figures.Digits)
		}
		all.Rows = append(all.Rows, row)
	}

	delays := figures.Table{
		Title:   "Until clients know of a change, from the request that makes it",
		Heading: []string{"servers", "clients", "median, ms", "p99, ms", "last client, ms"},
	}
	for _, d := range r.Delays {
		delays.Rows = append(delays.Rows, []string{
			figures.Grouped(d.Servers), strconv.Itoa(d.Clients),
			figures.Digits(d.Median), figures.Digits(d.P99), figures.Digits(d.Last),
		})
	}
	return []figures.Table{all, delays}
}

// DelayPlot draws the watch delay over the number of clients.
func (r *Report) DelayPlot() plot.Plot {
	p := plot.Plot{
		Title: "Until clients know of a change", XLabel: "clients that watch", YLabel: "delay, ms",
		LogX: true, LogY: true,
	}

	byName := make(map[string]int) // the place of each series
	var counts []int               // of servers, each of which has a colour
	add := func(d WatchDelay, what, dash string, ms float64) {
		name := fmt.Sprintf("%s servers, %s", figures.Grouped(d.Servers), what)
		if _, ok := byName[name]; !ok {
			byName[name] = len(p.Series)
			colour := slices.Index(counts, d.Servers) + 1
			p.Series = append(p.Series, plot.Series{Name: name, Colour: colour, Dash: dash})
		}
		s := &p.Series[byName[name]]
		s.Points = append(s.Points, plot.Point{X: float64(d.Clients), Y: ms})
	}

	for _, d := range r.Delays {
		if !slices.Contains(counts, d.Servers) {
			counts = append(counts, d.Servers)
		}
		add(d, "median", "", d.Median)
		add(d, "p99", "7 4", d.P99)
		add(d, "last client", "2 4", d.Last)
	}
	return p
}
