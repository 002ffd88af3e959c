// The targets: what is promised of the ratios, and whether it was met.

package bench

import (
	"time"

	"example.com/rpcworkbook/tools/figures"
)

// The names of the clients.
const (
	ourClient    = "rpc.Client"
	bareClient   = "bare goroutine"
	randomClient = "rpc.Client, one a server, at random"
	loadClient   = "bare epoll, as many calls outstanding"
)

// A Target is one line of the table.
type Target struct {
	What, Against string
	Most          bool    // the bound is an upper one
	Bound         float64 // of the median
	Unit          func(float64) string
	Values        []float64 // what was measured, in each round
}

// Met reports whether the median of what was measured keeps to the bound, and
// false if nothing was.
func (t Target) Met() bool {
	if len(t.Values) == 0 {
		return false
	}
	median := figures.SpreadOf(t.Values).Median
	if t.Most {
		return median <= t.Bound
	}
	return median >= t.Bound
}

var times = figures.Unit("×")

// Targets returns the table for what was measured. A target of which nothing
// was measured has no values.
func (r *Report) Targets() []Target {
	ratio := func(what, against, shape, who, to string, most bool, bound float64, figure func(Result) float64) Target {
		return Target{what, against, most, bound, times, r.Rounds.Ratios(shape, who, to, figure)}
	}
	const same = "goroutine per connection, same handler"
	const least, most = false, true // what a bound is
	targets := []Target{
		ratio("C1 calls/s", "gnet, same handler", "C1", ours, gnetLoops, least, 1.6, rate),
		ratio("C2 calls/s", "gnet, same handler", "C2", ours, gnetLoops, least, 1, rate),
		ratio("C3 calls/s", "gnet, same handler", "C3", ours, gnetLoops, least, 1.5, rate),
		ratio("C4 calls/s", "gnet, same handler", "C4", ours, gnetLoops, least, 1.1, rate),
		ratio("C2 calls/s", "bare epoll", "C2", ours, bareEpoll, least, 0.85, rate),
		ratio("C4 calls/s", "bare epoll", "C4", ours, bareEpoll, least, 0.85, rate),
		ratio("C3 calls/s", "bare epoll, same pipelining", "C3", ours, bareEpoll, least, 0.5, rate),
		ratio("C2 server CPU per call", "bare epoll", "C2", ours, bareEpoll, most, 1.3, perCall),
		ratio("C2 p99 latency", "gnet, same handler", "C2", ours, gnetLoops, most, 1, p99),
		ratio("C4 p99 latency", "gnet, same handler", "C4", ours, gnetLoops, most, 1, p99),
		ratio("C1 calls/s", "raw echo", "C1", ours, raw, least, 1.05, rate),
		ratio("C2 calls/s", "raw echo", "C2", ours, raw, least, 0.95, rate),
		ratio("C4 calls/s", "raw echo", "C4", ours, raw, least, 0.95, rate),
		ratio("C3 calls/s", "net/rpc", "C3", ours, gob, least, 12, rate),
		ratio("C3 calls/s", "raw echo, same pipelining", "C3", ours, raw, least, 0.25, rate),
		ratio("C2 calls/s", "net/rpc", "C2", ours, gob, least, 1.5, rate),
		ratio("C4 calls/s", "net/rpc", "C4", ours, gob, least, 1.5, rate),
		ratio("C2 calls/s", "net/rpc/jsonrpc", "C2", ours, jsonRPC, least, 1.5, rate),
		ratio("C4 calls/s", "net/rpc/jsonrpc", "C4", ours, jsonRPC, least, 1.5, rate),
		ratio("C3 server CPU per call", "net/rpc", "C3", ours, gob, most, 0.15, perCall),
		ratio("C2 p99 latency", same, "C2", ours, goroutine, most, 0.4, p99),
		ratio("C4 p99 latency", same, "C4", ours, goroutine, most, 0.8, p99),
		ratio("C4 resident memory", same, "C4", ours, goroutine, most, 0.9, resident),
		ratio("client round trip, G=1", "bare goroutine, same frames",
			"G=1", ourClient, bareClient, most, 1.4, seconds),
		ratio("client calls/s, G=64", "net/rpc's client", "G=64", ourClient, gob, least, 4, rate),
		ratio("client calls/s, G=512", "net/rpc's client", "G=512", ourClient, gob, least, 4, rate),
		ratio("client calls/s, ten servers, G=64", "a server at random",
			"ten servers", ourClient, randomClient, least, 0.9, rate),
		ratio("client calls/s, ten servers, G=64", "net/rpc's client",
			"ten servers", ourClient, gob, least, 4, rate),
		ratio("client calls/s, ten servers, G=512", "net/rpc's client",
			"ten servers G=512", ourClient, gob, least, 4, rate),
		{"client allocations a call, G=64", "", most, 6, figures.Digits,
			r.Rounds.Values("G=64", ourClient, allocs)},
		{"connections on the fuller worker, C2", "", most, 0.6, figures.Percent,
			r.Rounds.Values("C2", ours, fullest)},
	}

	idle := Target{What: "idle connection of 10,000", Most: most, Bound: 1024, Unit: figures.Bytes}
	if points := r.Idle[ours]; len(points) > 0 {
		idle.Values = []float64{points[len(points)-1].PerConn}
	}
	beside := Target{
		What: "ping p99 beside 4 × pi(100000000)",
		Most: most, Bound: float64(5 * time.Millisecond), Unit: figures.Nanoseconds,
	}
	if c := r.Computation; c != nil {
		beside.Values = []float64{float64(c.Beside.P99)}
	}
	return append(targets, idle, beside)
}
