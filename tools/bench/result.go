// What was measured: of one server at one shape of load, of all of them in
// rounds, and the ratios within a round.

package bench

import (
	"fmt"
	"time"
)

// The names of the servers.
const (
	ours      = "ours"       // final/cmd/server
	bareEpoll = "bare epoll" // the bytes come back: no messages, no timers, no limits
	gnetLoops = "gnet"       // our frames and our handler
	raw       = "raw echo"   // no messages at all: the bytes come back
	goroutine = "goroutine"  // our frames and our handler
	gob       = "net/rpc"
	jsonRPC   = "jsonrpc"
)

// idleServers are those whose memory is measured with idle connections.
var idleServers = []string{ours, gnetLoops, goroutine}

// A Result is what one measurement gave.
type Result struct {
	Calls    int64
	Seconds  float64 // the window
	P50, P99 time.Duration

	// Of the process that makes the calls.
	Allocs    float64       // allocations a call, if the driver counts them
	DriverCPU time.Duration // in the window

	// Others is the share of the machine's processor time that neither the
	// server nor the driver used in the window, nor was idle.
	Others float64

	// Of all the server's processes.
	CPU      time.Duration // in the window
	Resident int64         // bytes in memory, shared code once
	RSS      int64         // the plain sum of their RSS
	Share    float64       // of the connections, on the worker that has most; 0: not known
}

// Rate returns the calls a second.
func (r Result) Rate() float64 { return float64(r.Calls) / r.Seconds }

// PerCall returns the server's processor time for one call.
func (r Result) PerCall() time.Duration { return r.CPU / time.Duration(max(r.Calls, 1)) }

// DriverPerCall returns the processor time for one call of whoever makes it.
func (r Result) DriverPerCall() time.Duration { return r.DriverCPU / time.Duration(max(r.Calls, 1)) }

// A Shape is how much load there is at a time.
type Shape struct {
	Name         string
	Conns, Depth int // connections, and calls outstanding on each
}

// The shapes that have targets, and those that complete the plots.
var (
	c1 = Shape{"C1", 1, 1}
	c2 = Shape{"C2", 64, 1}
	c3 = Shape{"C3", 8, 64}
	c4 = Shape{"C4", 1000, 1}

	targetShapes = []Shape{c1, c2, c3, c4}
	plotShapes   = []Shape{{"8x1", 8, 1}, {"256x1", 256, 1}, {"8x4", 8, 4}, {"8x16", 8, 16}}
	clientShapes = []Shape{{"G=1", 1, 1}, {"G=64", 1, 64}, {"G=512", 1, 512}}
	choiceShapes = []Shape{{"ten servers", 1, 64}, {"ten servers G=512", 1, 512}}
)

func (s Shape) String() string {
	load := fmt.Sprintf("%d × %d", s.Conns, s.Depth)
	if s.Name == fmt.Sprintf("%dx%d", s.Conns, s.Depth) {
		return load
	}
	return s.Name + ": " + load
}

// idlePoints are the numbers of idle connections at which to look at memory.
var idlePoints = []int{1000, 3000, 10_000}

// A Round is what one round gave, by contender.
type Round map[string]Result

// Rounds are the rounds by the name of the shape.
type Rounds map[string][]Round

// Values returns one figure of one contender in each round that has it.
func (r Rounds) Values(shape, who string, figure func(Result) float64) (values []float64) {
	for _, round := range r[shape] {
		if result, ok := round[who]; ok {
			values = append(values, figure(result))
		}
	}
	return values
}

// Ratios returns the figure of who divided by that of against, for each round
// that has both: what else the machine did meanwhile concerned both.
func (r Rounds) Ratios(shape, who, against string, figure func(Result) float64) (ratios []float64) {
	for _, round := range r[shape] {
		ours, ok1 := round[who]
		theirs, ok2 := round[against]
		if ok1 && ok2 && figure(theirs) != 0 {
			ratios = append(ratios, figure(ours)/figure(theirs))
		}
	}
	return ratios
}

// The figures.
func rate(r Result) float64     { return r.Rate() }
func seconds(r Result) float64  { return 1 / r.Rate() } // per call: with one at a time, the round trip
func perCall(r Result) float64  { return float64(r.PerCall()) }
func driver(r Result) float64   { return float64(r.DriverPerCall()) }
func p50(r Result) float64      { return float64(r.P50) }
func p99(r Result) float64      { return float64(r.P99) }
func resident(r Result) float64 { return float64(r.Resident) }
func rss(r Result) float64      { return float64(r.RSS) }
func allocs(r Result) float64   { return r.Allocs }
func fullest(r Result) float64  { return r.Share }
