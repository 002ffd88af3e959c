// How a milestone fails: what the test did last, what it expected then, and
// what it got instead.

package harness

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A story is what happened so far in one test.
type story struct {
	start  time.Time
	last   string // the last thing the test did
	lastAt time.Duration
}

var stories struct {
	sync.Mutex
	of map[testing.TB]*story
}

// tell runs do with the test's story, making it if this is its beginning.
func tell(t testing.TB, do func(s *story)) {
	stories.Lock()
	defer stories.Unlock()
	s := stories.of[t]
	if s == nil {
		s = &story{start: time.Now()}
		if stories.of == nil {
			stories.of = map[testing.TB]*story{}
		}
		stories.of[t] = s
		t.Cleanup(func() {
			stories.Lock()
			defer stories.Unlock()
			delete(stories.of, t)
		})
	}
	do(s)
}

// did notes what a verb is about to do, for the report of a failure.
func did(t testing.TB, format string, args ...any) {
	tell(t, func(s *story) {
		s.last, s.lastAt = fmt.Sprintf(format, args...), time.Since(s.start)
	})
}

// fail ends the test with a report. Like t.FailNow it must be called on the
// test's own goroutine.
func fail(t testing.TB, expected, got string) {
	t.Helper()
	var b strings.Builder
	field := func(name, text string) {
		indented := strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n          ")
		fmt.Fprintf(&b, "\n%-9s %s", name, indented)
	}
	tell(t, func(s *story) {
		if s.last != "" {
			field("did", fmt.Sprintf("%.2fs  %s", s.lastAt.Seconds(), s.last))
		}
		field("expected", expected)
		field("got", fmt.Sprintf("%.2fs  %s", time.Since(s.start).Seconds(), got))
	})
	t.Fatal(b.String())
}

// Check ends the test with a report unless ok. The expectation is a phrase
// such as "16 workers"; got and args describe what there is instead.
func Check(t testing.TB, ok bool, expected, got string, args ...any) {
	t.Helper()
	if !ok {
		fail(t, expected, fmt.Sprintf(got, args...))
	}
}
