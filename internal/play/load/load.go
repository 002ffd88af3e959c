// Package load makes the calls that the page shows: callers that call ping and
// pi in turn, and a report of what became of the calls, four times a second.
// Whom they call, and how, is a Caller's business: plain.go has a simple one,
// and the whole workbook another, which is its client.
package load

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

const (
	callTime   = 5 * time.Second // for one call
	longTime   = 300 * time.Millisecond
	longTerms  = 40_000_000 // of pi: about that time for a compiled program, and the most that is asked for
	telling    = 100_000    // terms from which on a call's time tells how fast the servers compute
	largestN   = 3_000_000  // terms of a usual pi: some 20 ms
	growth     = 1.7        // from one pi's n to the next one's
	afterError = 300 * time.Millisecond
)

// Period is the time between two reports.
const Period = 250 * time.Millisecond

// A Caller calls a method at one of the servers. It returns the server's
// address, if one was tried, with an error too. It is used by many goroutines,
// each with a number of its own from 0, and must return when ctx ends.
type Caller interface {
	Call(ctx context.Context, caller int, method string, params any) (result json.RawMessage, server string, err error)
}

// Settings say how much is called.
type Settings struct {
	Callers int           `json:"callers"` // goroutines, 0 to MaxCallers
	Pause   time.Duration `json:"pause"`   // the longest between two rounds of a caller, in nanoseconds
	Long    bool          `json:"long"`    // each round computes for 0.3 s
}

// MaxCallers bounds Settings.Callers.
const MaxCallers = 64

// A Point is what a server computed: pi from so many terms.
type Point struct {
	N     int     `json:"n"`
	Error float64 `json:"error"` // how far it is from π
}

// A Report is what has happened since the one before.
type Report struct {
	Answered    map[string]int `json:"answered,omitempty"` // by server
	Failed      map[string]int `json:"failed,omitempty"`   // by server, "" for none in particular
	Slowest     time.Duration  `json:"slowest,omitempty"`  // of the answered
	Outstanding int            `json:"outstanding"`        // calls under way now
	Points      []Point        `json:"points,omitempty"`
	Trouble     string         `json:"trouble,omitempty"` // what the first failed call said
}

// A Load makes calls with the latest settings. Its methods are safe for
// concurrent use.
type Load struct {
	caller Caller

	mu       sync.Mutex
	settings Settings
	changed  chan struct{} // closed and replaced when the settings are
	report   Report        // so far
	rounds   int           // of all callers
	speed    float64       // terms a second that a server computes; 0: not known yet
}

// New returns a load of no callers, for Run.
func New(caller Caller) *Load { return &Load{caller: caller, changed: make(chan struct{})} }

// Set changes how much is called from now on. What can't be is brought within
// bounds.
func (l *Load) Set(s Settings) {
	s.Callers = min(max(s.Callers, 0), MaxCallers)
	s.Pause = max(s.Pause, 0)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.settings = s
	close(l.changed)
	l.changed = make(chan struct{})
}

// Settings returns the latest settings.
func (l *Load) Settings() Settings {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settings
}

// Run makes calls and passes a report on each Period, on one goroutine, until
// ctx ends; it returns when nothing of it runs any more.
func (l *Load) Run(ctx context.Context, pass func(Report)) {
	var callers sync.WaitGroup
	for number := range MaxCallers {
		callers.Go(func() { l.call(ctx, number) })
	}

	ticker := time.NewTicker(Period)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			pass(l.take())
		case <-ctx.Done():
		}
	}
	callers.Wait()
}

// take returns the report so far and begins another.
func (l *Load) take() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.report
	l.report = Report{Outstanding: r.Outstanding}
	return r
}

// call makes one caller's rounds, while there are so many callers.
func (l *Load) call(ctx context.Context, number int) {
	for ctx.Err() == nil {
		l.mu.Lock()
		settings, changed := l.settings, l.changed
		round := l.rounds
		n := terms(round)
		if settings.Long {
			n = Long(l.speed)
		}
		if number < settings.Callers {
			l.rounds++
		}
		l.mu.Unlock()

		var pause <-chan time.Time
		if number < settings.Callers {
			ok := l.ping(ctx, number, round)
			ok = l.pi(ctx, number, n) && ok
			length := time.Duration(rand.Int64N(int64(settings.Pause) + 1)) // not in step with the others
			if !ok {
				length = max(length, afterError)
			}
			pause, changed = time.After(length), nil
		}

		select {
		case <-pause:
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// terms is n of the pi in a round: it grows, and then begins anew.
func terms(round int) int {
	steps := int(math.Log(largestN) / math.Log(growth))
	return int(math.Round(math.Pow(growth, float64(round%(steps+1)))))
}

// Long is how many terms of pi take about 0.3 s for a server that computes so
// many a second; 0 stands for one of which that is not known.
func Long(speed float64) int {
	if speed == 0 {
		return longTerms
	}
	return min(max(int(speed*longTime.Seconds()), 1), longTerms)
}

// ping makes a call that must come back as it went.
func (l *Load) ping(ctx context.Context, number, round int) (ok bool) {
	text := "hello " + strconv.Itoa(round)
	return l.record(ctx, number, "ping", text, func(result json.RawMessage) (*Point, bool) {
		var echo string
		err := json.Unmarshal(result, &echo)
		return nil, err == nil && echo == text
	})
}

// pi makes a call that must come back about 1/(π(n+1)) less than π.
func (l *Load) pi(ctx context.Context, number, n int) (ok bool) {
	return l.record(ctx, number, "pi", n, func(result json.RawMessage) (*Point, bool) {
		var value float64
		err := json.Unmarshal(result, &value)
		miss := math.Pi - value
		return &Point{n, miss}, err == nil && math.Abs(miss*math.Pi*float64(n+1)-1) < 0.1
	})
}

// record makes a call and counts what became of it.
func (l *Load) record(ctx context.Context, number int, method string, params any,
	right func(json.RawMessage) (*Point, bool)) (ok bool) {

	l.mu.Lock()
	l.report.Outstanding++
	l.mu.Unlock()

	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	began := time.Now()
	result, server, err := l.caller.Call(callCtx, number, method, params)
	took := time.Since(began)

	var point *Point
	if err == nil {
		point, ok = right(result)
		if !ok {
			err = fmt.Errorf("%s(%v): %s gave a wrong answer: %s", method, params, server, result)
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Outstanding--
	if err == nil && point != nil && point.N >= telling {
		l.speed = float64(point.N) / took.Seconds()
	}
	if ctx.Err() == nil {
		l.report.add(server, took, point, err)
	}
	return err == nil
}

// add counts a call.
func (r *Report) add(server string, took time.Duration, point *Point, err error) {
	if err != nil {
		if r.Failed == nil {
			r.Failed = map[string]int{}
		}
		r.Failed[server]++
		if r.Trouble == "" {
			r.Trouble = err.Error()
		}
		return
	}

	if r.Answered == nil {
		r.Answered = map[string]int{}
	}
	r.Answered[server]++
	r.Slowest = max(r.Slowest, took)
	if point != nil {
		r.Points = append(r.Points, *point)
	}
}
