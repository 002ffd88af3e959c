// How a milestone fails: what the test did last, what it expected then, what
// it got instead, what is usually the cause, and how to try again. A reader
// sees this more often than anything else in the workbook.

package harness

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/runpicture"
)

// A story is what happened so far in one test.
type story struct {
	start time.Time     // when its first verb was called
	built time.Duration // the part of the time since that was the compiler's
	limit limit
	log   runpicture.Log

	// For the report.
	last    string // the last thing the test did
	lastAt  time.Duration
	replies int // that came
	usually string
	given   int             // how many Givens the test is in
	scenes  []func() string // what else explains a failure
	bombs   []func() string // what the fork bomb guard found, by program

	mark string // of all processes of the test's programs; "" before the first

	// For the picture.
	conns, gates int                        // how many there have been
	servers      map[string]runpicture.Lane // who listens, by address
	programs     []*Program
	drawn        bool // there is a picture
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
		s = &story{}
		if stories.of == nil {
			stories.of = map[testing.TB]*story{}
		}
		stories.of[t] = s

		// It was made before anything that it tells of, so this comes after all
		// of that has been cleaned up.
		t.Cleanup(func() {
			endStrays(t, s)
			stories.Lock()
			defer stories.Unlock()
			delete(stories.of, t)
			if !s.drawn && (t.Failed() || targets.allPictures) {
				s.draw(t, failedWithoutReport(t))
			}
			if t.Failed() && tracing() {
				t.Logf("all that happened, from the test's start:\n%s", runpicture.Text(s.log.Events()))
			}
		})
	}

	do(s)
}

// begin starts the clock of the test's story, unless it runs. Each verb calls
// it first. What a milestone says before its verbs doesn't: one that runs in
// parallel with others may wait for its turn then.
func begin(t testing.TB) { tell(t, func(s *story) { s.begin(t) }) }

func (s *story) begin(t testing.TB) {
	if s.start.IsZero() {
		s.start = time.Now()
		s.limit = limitOf(t, s.start)
	}
}

// hasBuilt notes that the test has waited for a build, which is not the time of
// the program under test.
func hasBuilt(t testing.TB, took time.Duration) {
	tell(t, func(s *story) {
		s.begin(t)
		s.built += took
		s.limit = limitOf(t, s.start.Add(s.built))
	})
}

// gotReply counts a reply. It may be called like Saw.
func gotReply(t testing.TB) {
	ifTold(t, func(s *story) { s.replies++ })
}

// Usually says what is usually the cause when this test fails: a phrase for
// the report. Call it first in a milestone.
func Usually(t testing.TB, cause string) {
	tell(t, func(s *story) { s.usually = cause })
}

// Given runs do, which sees to what a milestone stands on and isn't about, such
// as a server that starts: the report of a failure in do names no usual cause,
// for the milestone's own is none of it.
func Given(t testing.TB, do func()) {
	t.Helper()
	tell(t, func(s *story) { s.given++ })
	do()
	tell(t, func(s *story) { s.given-- })
}

// Scene adds to the report of a failure what show returns then, such as the
// processes or the znodes that the test plays with; "" adds nothing. It is
// called on the test's goroutine.
func Scene(t testing.TB, show func() string) {
	tell(t, func(s *story) { s.scenes = append(s.scenes, show) })
}

// milestoneName is how package testing writes a milestone: blanks as
// underlines.
var milestoneName = regexp.MustCompile(`^TestSpec\d+/(\d+\.\d+)_(.*)$`)

// milestone returns the number and the sentence of the milestone that t is.
func milestone(t testing.TB) (number, sentence string, ok bool) {
	m := milestoneName.FindStringSubmatch(t.Name())
	if m == nil {
		return "", "", false
	}
	return m[1], strings.ReplaceAll(m[2], "_", " "), true
}

// fail ends the test with a report. Like t.FailNow it must be called on the
// test's own goroutine.
func fail(t testing.TB, expected, got string) {
	t.Helper()
	begin(t)
	var s story
	tell(t, func(own *story) { s = *own })
	gotAt := time.Since(s.start)

	if s.given > 0 {
		s.usually = ""
	}
	if s.limit.over() {
		got = fmt.Sprintf("after %d replies it was still waiting for %s:\n%s", s.replies, expected, got)
		expected, s.usually = s.limit.what, ""
	}
	if bomb := findBomb(&s); bomb != "" {
		got, s.usually = bomb, "" // it names its own cause
		starts.tellBomb(t)
	}
	got = excerpt(got)
	for _, show := range s.scenes {
		if scene := show(); scene != "" {
			got = strings.TrimRight(got, "\n") + "\n" + scene
		}
	}

	report := s.report(t, expected, fmt.Sprintf("%.2fs  %s", gotAt.Seconds(), got))
	tell(t, func(s *story) { report = s.withPicture(t, report) })
	t.Fatal(report)
}

// report writes what is to be read of a test that failed.
func (s *story) report(t testing.TB, expected, got string) string {
	var b strings.Builder
	field := func(name, text string) {
		indented := strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n            ")
		fmt.Fprintf(&b, "\n  %-9s %s", name, indented)
	}

	number, sentence, ok := milestone(t)
	if ok {
		fmt.Fprintf(&b, "\n✗ %s %s", number, sentence)
	}
	if s.last != "" {
		field("did", fmt.Sprintf("%.2fs  %s", s.lastAt.Seconds(), s.last))
	}
	field("expected", expected)
	field("got", got)
	if s.usually != "" {
		field("usually", s.usually)
	}
	if ok {
		field("again", again(number))
	}
	return b.String()
}

// findBomb returns what the guard found of the test's programs, "" for nothing.
func findBomb(s *story) string {
	for _, bomb := range s.bombs {
		if found := bomb(); found != "" {
			return found
		}
	}
	return ""
}

// Check ends the test with a report unless ok. The expectation is a phrase
// such as "16 workers"; got and args describe what there is instead.
func Check(t testing.TB, ok bool, expected, got string, args ...any) {
	t.Helper()
	if !ok {
		fail(t, expected, fmt.Sprintf(got, args...))
	}
}
