// The discovery benchmark's tables: Markdown whose columns are aligned, so that
// the same text can be read in a terminal.

//go:build linux

package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

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
func (f Figure) p99() float64 { return nearestRank(f.Values, 99) }

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

// nearestRank returns the least value that so many percent of the values don't
// exceed, NaN for no values.
func nearestRank(values []float64, percent int) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

// String returns the tables.
func (r *DiscoveryReport) String() string {
	figures := [][]string{{"measured", "target", "median", "p99", "least – most", "values", "target met?"}}
	for _, f := range r.Figures {
		row := []string{f.What, f.Target, "", "", "", strconv.Itoa(len(f.Values)), f.verdict()}
		if len(f.Values) > 0 {
			s := SpreadOf(f.Values)
			row[2], row[3] = f.format(s.Median), f.format(f.p99())
			row[4] = fmt.Sprintf("%s – %s", threeDigits(s.Min), threeDigits(s.Max))
		}
		figures = append(figures, row)
	}
	delays := [][]string{{"servers", "clients", "median, ms", "p99, ms", "last client, ms"}}
	for _, d := range r.Delays {
		delays = append(delays, []string{withComma(d.Servers), strconv.Itoa(d.Clients), threeDigits(d.Median), threeDigits(d.P99), threeDigits(d.Last)})
	}
	return alignedTable(figures) + "\nUntil clients know of a change, from the request that makes it:\n\n" + alignedTable(delays)
}

func (f Figure) format(v float64) string { return strings.TrimSpace(threeDigits(v) + " " + f.Unit) }

// threeDigits writes a figure with about three digits.
func threeDigits(v float64) string {
	switch {
	case v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// withComma writes a number with a comma.
func withComma(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", withComma(n/1000), n%1000)
}

// alignedTable writes rows, the first of them the head, as Markdown. Columns
// after the first two are aligned right.
func alignedTable(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var out strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < 2 {
				out.WriteString("| " + cell + gap + " ")
			} else {
				out.WriteString("| " + gap + cell + " ")
			}
		}
		out.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i := range row {
			if i < 2 {
				out.WriteString("| " + strings.Repeat("-", widths[i]) + " ")
			} else {
				out.WriteString("| " + strings.Repeat("-", widths[i]-1) + ": ")
			}
		}
		out.WriteString("|\n")
	}
	return out.String()
}
