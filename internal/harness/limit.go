// Limits: how long a milestone may take, whatever the program under test does.
// Each verb has a bound of its own, but a milestone may have ten thousand of
// them.

package harness

import (
	"fmt"
	"testing"
	"time"
)

// maxMilestone is how long a milestone may take. Right programs need some
// twenty seconds for the longest, and more with the race detector on a machine
// that is busy with other things.
var maxMilestone = 2 * time.Minute

// lastMoment is what is left of go test's time when nothing is asked any more,
// so that a program that is slow everywhere doesn't end in a panic, which would
// take all reports with it.
const lastMoment = 10 * time.Second

// A limit is when a test's time is over.
type limit struct {
	end  time.Time // zero: never
	what string    // what is expected, in words
}

// limitOf returns the limit of a test that began at that time. Only milestones
// have one.
func limitOf(t testing.TB, start time.Time) limit {
	if _, _, ok := milestone(t); !ok {
		return limit{}
	}

	l := limit{start.Add(maxMilestone), fmt.Sprintf("all of this milestone within %v", maxMilestone)}
	if test, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		end, ok := test.Deadline()
		end = end.Add(-lastMoment)
		if ok && end.Before(l.end) {
			l = limit{end, "all milestones within the -timeout of go test"}
		}
	}
	return l
}

func (l limit) over() bool { return !l.end.IsZero() && !time.Now().Before(l.end) }

// until returns when a verb is to give up that waits for so long at most: when
// the test's time is over, at the latest. It may be called on any goroutine,
// also after the test's end.
func until(t testing.TB, timeout time.Duration) time.Time {
	end := time.Now().Add(timeout)
	stories.Lock()
	defer stories.Unlock()
	if s := stories.of[t]; s != nil && !s.limit.end.IsZero() && s.limit.end.Before(end) {
		return s.limit.end
	}
	return end
}
