// The report: tables of the targets and of all figures.

package bench

import (
	"slices"

	"example.com/rpcworkbook/tools/figures"
)

// A Report is everything that was measured.
type Report struct {
	// The figures.
	Rounds      Rounds
	Idle        map[string][]IdlePoint // by server
	Computation *Computation           // nil: not measured

	// What the reader must know.
	Rivals    []string // the names of those that Config adds
	Samples   int      // that were taken
	Disturbed int      // of them, while other processes took more than MaxOthers of the machine
	Notes     []string
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

// Tables returns the tables: the targets first, then the figures behind them.
func (r *Report) Tables() []figures.Table {
	tables := []figures.Table{
		r.targets(),
		r.servers("Servers: medians of the rounds", targetShapes),
		r.servers("Servers at more loads, for the plots", plotShapes),
		r.clients(),
		r.idle(),
		r.computation(),
	}
	return slices.DeleteFunc(tables, func(t figures.Table) bool { return len(t.Rows) == 0 })
}

func (r *Report) targets() figures.Table {
	t := figures.Table{
		Title:   "Targets",
		Heading: []string{"what", "against", "target", "median", "least … most", ""},
	}
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

		s := figures.SpreadOf(target.Values)
		t.Rows = append(t.Rows, []string{
			target.What, target.Against, sign + target.Unit(target.Bound),
			target.Unit(s.Median), s.Range(target.Unit), verdict,
		})
	}
	return t
}

// servers is all about the contenders at those shapes.
func (r *Report) servers(title string, shapes []Shape) figures.Table {
	t := figures.Table{
		Title: title,
		Heading: []string{
			"load", "server", "calls/s", "least … most", "p50", "p99", "server CPU/call", "driver CPU/call",
			"resident", "sum of RSS",
		},
	}

	names := slices.Concat([]string{ours, bareEpoll, gnetLoops, raw, goroutine, gob, jsonRPC}, r.Rivals)
	for _, shape := range shapes {
		for _, name := range names {
			m := r.measured(shape, name)
			if m.none() {
				continue
			}

			t.Rows = append(t.Rows, []string{
				shape.String(), name,
				figures.Thousands(m.median(rate)), m.spread(rate).Range(figures.Thousands),
				figures.Nanoseconds(m.median(p50)), figures.Nanoseconds(m.median(p99)),
				figures.Nanoseconds(m.median(perCall)), figures.Nanoseconds(m.median(driver)),
				figures.MiB(m.median(resident)), figures.MiB(m.median(rss)),
			})
		}
	}
	return t
}

func (r *Report) clients() figures.Table {
	t := figures.Table{
		Title: "Clients, one shared by G goroutines: medians of the rounds",
		Heading: []string{
			"callers", "client", "calls/s", "least … most", "p50", "p99",
			"CPU/call", "server CPU/call", "allocations/call",
		},
	}

	for _, shape := range slices.Concat(clientShapes, choiceShapes) {
		for _, name := range []string{ourClient, bareClient, gob, randomClient, loadClient} {
			m := r.measured(shape, name)
			if m.none() {
				continue
			}

			t.Rows = append(t.Rows, []string{
				shape.Name, name,
				figures.Thousands(m.median(rate)), m.spread(rate).Range(figures.Thousands),
				figures.Nanoseconds(m.median(p50)), figures.Nanoseconds(m.median(p99)),
				figures.Nanoseconds(m.median(driver)), figures.Nanoseconds(m.median(perCall)),
				figures.Digits(m.median(allocs)),
			})
		}
	}
	return t
}

// measured are the results of one contender at one shape of load.
type measured struct {
	rounds      Rounds
	shape, name string
}

func (r *Report) measured(shape Shape, name string) measured {
	return measured{r.Rounds, shape.Name, name}
}

func (m measured) none() bool { return len(m.rounds.Values(m.shape, m.name, rate)) == 0 }

func (m measured) spread(figure func(Result) float64) figures.Spread {
	return figures.SpreadOf(m.rounds.Values(m.shape, m.name, figure))
}

func (m measured) median(figure func(Result) float64) float64 { return m.spread(figure).Median }

func (r *Report) idle() figures.Table {
	t := figures.Table{
		Title:   "Idle connections, one process serving",
		Heading: []string{"connections", "server", "resident", "a connection"},
	}

	for i := range idlePoints {
		for _, name := range idleServers {
			points := r.Idle[name]
			if len(points) <= i+1 { // the first is without connections
				continue
			}

			p := points[i+1]
			t.Rows = append(t.Rows, []string{
				figures.Grouped(p.Conns), name, figures.MiB(float64(p.Resident)), figures.Bytes(p.PerConn),
			})
		}
	}
	return t
}

func (r *Report) computation() figures.Table {
	t := figures.Table{
		Title:   "Computation, in processor time",
		Heading: []string{"what", "of the limit", "median", "least … most"},
	}
	c := r.Computation
	if c == nil {
		return t
	}

	ns := figures.Unit("ns")
	row := func(what, ofLimit string, values []float64) {
		s := figures.SpreadOf(values)
		t.Rows = append(t.Rows, []string{what, ofLimit, ns(s.Median), s.Range(ns)})
	}
	ofLimit := func(term []float64) string { return times(figures.SpreadOf(c.ratios(term)).Median) }
	row("one division, as fast as the processor starts them", "", c.Division)
	row("a term of pi (two divisions), in process", ofLimit(c.InProcess), c.InProcess)
	row("a term of pi, by a call", ofLimit(c.Served), c.Served)

	t.Rows = append(t.Rows,
		[]string{"ping p50 beside 4 × pi(100000000)", "", figures.Nanoseconds(float64(c.Beside.P50)), ""},
		[]string{"ping p99 beside 4 × pi(100000000)", "", figures.Nanoseconds(float64(c.Beside.P99)), ""})
	return t
}
