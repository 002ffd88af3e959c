// The tally: how many calls were answered and failed lately, by whom, and what
// pi came to.

package play

import (
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/play/load"
)

const (
	rateOver    = time.Second     // what a number of calls a second is counted over
	slowestOver = 5 * time.Second // what the slowest call is of
	quietAfter  = 2 * time.Second // without a failed call, all is well again
)

// A tally is safe for concurrent use.
type tally struct {
	journal *journal

	mu        sync.Mutex
	recent    []dated // of the last slowestOver
	calls     int
	failed    int
	points    map[int]float64 // pi's error by n
	lastFail  time.Time       // zero while calls don't fail
	failures  int             // since calls began to fail
	openCalls int
}

type dated struct {
	load.Report
	at time.Time
}

func newTally(j *journal) *tally { return &tally{journal: j, points: map[int]float64{}} }

// add takes in a report that has just come.
func (t *tally) add(r load.Report) {
	now := time.Now()
	failed := 0
	for _, n := range r.Failed {
		failed += n
	}

	t.mu.Lock()
	t.recent = append(t.recent, dated{r, now})
	t.recent = slices.DeleteFunc(t.recent, func(d dated) bool { return now.Sub(d.at) > slowestOver })
	for _, n := range r.Answered {
		t.calls += n
	}
	t.calls += failed
	t.failed += failed
	t.openCalls = r.Outstanding
	for _, p := range r.Points {
		t.points[p.N] = p.Error
	}

	first := failed > 0 && t.lastFail.IsZero()
	over := 0
	switch {
	case failed > 0:
		t.lastFail = now
		t.failures += failed
	case !t.lastFail.IsZero() && now.Sub(t.lastFail) > quietAfter:
		over = t.failures
		t.lastFail, t.failures = time.Time{}, 0
	}
	t.mu.Unlock()

	if first {
		t.journal.say(kindCalls, "a call failed: %s", r.Trouble)
	}
	if over > 0 {
		t.journal.say(kindCalls, "no call has failed for %v, after %d that did", quietAfter, over)
	}
}

// totals returns how many calls have ended, and how many of them failed.
func (t *tally) totals() (calls, failed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls, t.failed
}

// rates returns the calls a second by server, and the slowest call lately.
func (t *tally) rates() (answered, failed map[string]float64, slowest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	answered, failed = map[string]float64{}, map[string]float64{}

	for _, d := range t.recent {
		age := time.Since(d.at)
		if age < slowestOver {
			slowest = max(slowest, d.Slowest)
		}
		if age >= rateOver {
			continue
		}

		for addr, n := range d.Answered {
			answered[addr] += float64(n) / rateOver.Seconds()
		}
		for addr, n := range d.Failed {
			failed[addr] += float64(n) / rateOver.Seconds()
		}
	}
	return answered, failed, slowest
}

// outstanding returns the number of calls that have not ended.
func (t *tally) outstanding() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.openCalls
}

// curve returns what pi came to, by n.
func (t *tally) curve() (points []load.Point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(t.points)) {
		points = append(points, load.Point{N: n, Error: t.points[n]})
	}
	return points
}
