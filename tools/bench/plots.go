// The plots of a report.

package bench

import (
	"example.com/rpcworkbook/tools/figures"
	"example.com/rpcworkbook/tools/plot"
)

// Plots returns the plots by file name, without those of which nothing was
// measured.
func (r *Report) Plots() map[string]plot.Plot {
	connections := []Shape{c1, {"8x1", 8, 1}, c2, {"256x1", 256, 1}, c4}
	depths := []Shape{{"8x1", 8, 1}, {"8x4", 8, 4}, {"8x16", 8, 16}, c3}
	byConns := func(s Shape) float64 { return float64(s.Conns) }
	byDepth := func(s Shape) float64 { return float64(s.Depth) }
	milliseconds := func(result Result) float64 { return result.P99.Seconds() * 1e3 }

	plots := map[string]plot.Plot{
		"throughput-connections.svg": {
			Title: "Throughput, one call at a time on each connection", XLabel: "connections", YLabel: "calls/s",
			LogX: true, LogY: true, Series: r.series(connections, byConns, rate),
		},
		"p99-connections.svg": {
			Title: "p99 latency, one call at a time on each connection", XLabel: "connections", YLabel: "ms",
			LogX: true, LogY: true, Series: r.series(connections, byConns, milliseconds),
		},
		"throughput-depth.svg": {
			Title: "Throughput of 8 connections", XLabel: "calls outstanding on each connection", YLabel: "calls/s",
			LogX: true, LogY: true, Series: r.series(depths, byDepth, rate),
		},
		"memory-idle.svg": {
			Title: "Memory of one serving process", XLabel: "idle connections", YLabel: "MiB resident",
			Series: r.idleSeries(),
		},
	}

	for name, p := range plots {
		if len(p.Series) == 0 {
			delete(plots, name)
		}
	}
	return plots
}

// series are the contenders' medians at those shapes.
func (r *Report) series(shapes []Shape, x func(Shape) float64, y func(Result) float64) (all []plot.Series) {
	for _, name := range []string{ours, bareEpoll, gnetLoops, goroutine, gob} {
		s := plot.Series{Name: name}
		for _, shape := range shapes {
			if values := r.Rounds.Values(shape.Name, name, y); len(values) > 0 {
				s.Points = append(s.Points, plot.Point{X: x(shape), Y: figures.SpreadOf(values).Median})
			}
		}
		if len(s.Points) > 0 {
			all = append(all, s)
		}
	}
	return all
}

func (r *Report) idleSeries() (all []plot.Series) {
	for _, name := range idleServers {
		s := plot.Series{Name: name}
		for _, p := range r.Idle[name] {
			s.Points = append(s.Points, plot.Point{X: float64(p.Conns), Y: float64(p.Resident) / (1 << 20)})
		}
		if len(s.Points) > 0 {
			all = append(all, s)
		}
	}
	return all
}
