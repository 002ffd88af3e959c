// The report: tables of the targets and of all figures, as plain text and as
// Markdown.

package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Report is everything that was measured.
type Report struct {
	Rounds      Rounds
	Idle        map[string][]IdlePoint // by server
	Computation *Computation           // nil: not measured
	Notes       []string               // what the reader must know
}

// An IdlePoint is a server's memory with that many idle connections.
type IdlePoint struct {
	Conns    int
	Resident int64   // bytes
	PerConn  float64 // above the memory without connections
}

// Computation is what computing costs. A term has two divisions, so
// 2 x Division is the least that it can take.
type Computation struct {
	Division  []float64 // ns of processor time for one, as fast as the processor starts them, in each round
	InProcess []float64 // ns a term of PiSum
	Served    []float64 // ns a term of a call, alone on the server
	Beside    Result    // ping on another connection while four compute
}

// ratios returns what a term took, in units of its two divisions.
func (c *Computation) ratios(term []float64) (ratios []float64) {
	for i := range term {
		ratios = append(ratios, term[i]/(2*c.Division[i]))
	}
	return ratios
}

// A Table has a heading and rows of as many cells.
type Table struct {
	Title   string
	Heading []string
	Rows    [][]string
}

// Tables returns the tables: the targets first, then the figures behind them.
func (r *Report) Tables() []Table {
	tables := []Table{r.targets(), r.figures("Servers: medians of the rounds", targetShapes), r.figures("Servers at more loads, for the plots", plotShapes), r.clients(), r.idle(), r.computation()}
	return slices.DeleteFunc(tables, func(t Table) bool { return len(t.Rows) == 0 })
}

func (r *Report) targets() Table {
	t := Table{"Targets", []string{"what", "against", "target", "median", "min … max", ""}, nil}
	for _, target := range r.Targets() {
		if len(target.Values) == 0 {
			continue
		}
		sign, verdict := "≥ ", "not met"
		if target.Most {
			sign = "≤ "
		}
		if target.Met() {
			verdict = "met"
		}
		s := SpreadOf(target.Values)
		t.Rows = append(t.Rows, []string{target.What, target.Against, sign + target.Unit(target.Bound), target.Unit(s.Median), between(s, target.Unit), verdict})
	}
	return t
}

// figures is all about the contenders at those shapes.
func (r *Report) figures(title string, shapes []Shape) Table {
	t := Table{title, []string{"load", "server", "calls/s", "min … max", "p50", "p99", "server CPU/call", "resident", "sum of RSS"}, nil}
	for _, shape := range shapes {
		for _, name := range []string{ours, raw, goroutine, gob, jsonRPC} {
			if len(r.Rounds.Values(shape.Name, name, rate)) == 0 {
				continue
			}
			median := func(figure func(Result) float64) float64 {
				return SpreadOf(r.Rounds.Values(shape.Name, name, figure)).Median
			}
			t.Rows = append(t.Rows, []string{shape.String(), name,
				perSec(median(rate)), between(SpreadOf(r.Rounds.Values(shape.Name, name, rate)), perSec),
				duration(median(p50)), duration(median(p99)), duration(median(perCall)), mebi(median(resident)), mebi(median(rss))})
		}
	}
	return t
}

func (r *Report) clients() Table {
	t := Table{"Clients, one shared by G goroutines: medians of the rounds", []string{"callers", "client", "calls/s", "min … max", "p50", "p99", "allocations/call"}, nil}
	for _, shape := range slices.Concat(clientShapes, choiceShapes) {
		for _, name := range []string{ourClient, bareClient, gob, randomClient} {
			rates := r.Rounds.Values(shape.Name, name, rate)
			if len(rates) == 0 {
				continue
			}
			median := func(figure func(Result) float64) float64 {
				return SpreadOf(r.Rounds.Values(shape.Name, name, figure)).Median
			}
			t.Rows = append(t.Rows, []string{shape.Name, name, perSec(median(rate)), between(SpreadOf(rates), perSec),
				duration(median(p50)), duration(median(p99)), digits(median(allocs))})
		}
	}
	return t
}

func (r *Report) idle() Table {
	t := Table{"Idle connections, one process serving", []string{"connections", "server", "resident", "a connection"}, nil}
	for i := range idlePoints {
		for _, name := range []string{ours, raw, goroutine} {
			if points := r.Idle[name]; len(points) > i+1 {
				p := points[i+1] // the first is without connections
				t.Rows = append(t.Rows, []string{thousands(float64(p.Conns)), name, mebi(float64(p.Resident)), bytesOf(p.PerConn)})
			}
		}
	}
	return t
}

func (r *Report) computation() Table {
	t := Table{"Computation, in processor time", []string{"what", "median", "min … max", "of the limit"}, nil}
	c := r.Computation
	if c == nil {
		return t
	}
	ns := func(v float64) string { return digits(v) + " ns" }
	line := func(what string, values []float64, of string) {
		t.Rows = append(t.Rows, []string{what, ns(SpreadOf(values).Median), between(SpreadOf(values), ns), of})
	}
	line("one division, as fast as the processor starts them", c.Division, "")
	line("a term of pi (two divisions), in process", c.InProcess, times(SpreadOf(c.ratios(c.InProcess)).Median))
	line("a term of pi, by a call", c.Served, times(SpreadOf(c.ratios(c.Served)).Median))
	t.Rows = append(t.Rows, []string{"ping p50 beside 4 × pi(100000000)", duration(float64(c.Beside.P50)), "", ""},
		[]string{"ping p99 beside 4 × pi(100000000)", duration(float64(c.Beside.P99)), "", ""})
	return t
}

func between(s Spread, unit func(float64) string) string {
	if s.Min == s.Max { // measured once, or always the same
		return ""
	}
	return unit(s.Min) + " … " + unit(s.Max)
}

// WriteText writes the table with its columns aligned.
func (t Table) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", t.Title)
	widths := t.widths()
	for i, row := range append([][]string{t.Heading}, t.Rows...) {
		var line strings.Builder
		for j, cell := range row {
			line.WriteString("  " + pad(cell, widths[j]))
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
		if i == 0 {
			var rule strings.Builder
			for _, width := range widths {
				rule.WriteString("  " + strings.Repeat("-", width))
			}
			fmt.Fprintln(w, rule.String())
		}
	}
	fmt.Fprintln(w)
}

// WriteMarkdown writes the same for a README.
func (t Table) WriteMarkdown(w io.Writer) {
	fmt.Fprintf(w, "**%s**\n\n", t.Title)
	widths := t.widths()
	line := func(row []string) {
		for j, cell := range row {
			fmt.Fprintf(w, "| %s ", pad(cell, widths[j]))
		}
		fmt.Fprintln(w, "|")
	}
	line(t.Heading)
	fmt.Fprintln(w, strings.Repeat("|---", len(t.Heading))+"|")
	for _, row := range t.Rows {
		line(row)
	}
	fmt.Fprintln(w)
}

func (t Table) widths() []int {
	widths := make([]int, len(t.Heading))
	for _, row := range append([][]string{t.Heading}, t.Rows...) {
		for j, cell := range row {
			widths[j] = max(widths[j], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", width-utf8.RuneCountInString(s))
}
