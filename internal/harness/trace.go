// What a test did and saw, and what the programs said, event by event. It is
// shown as text when the test has failed and -v asks for it, and where CI is
// set, as nobody can ask again there; and as a picture, see picture.go.

package harness

import (
	"fmt"
	"os"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/runpicture"
)

// tracing tells whether anybody will see what happened as text.
func tracing() bool { return testing.Verbose() || os.Getenv("CI") != "" }

// recording tells whether anybody will see it at all.
func recording() bool { return tracing() || targets.pictures != "" }

// Did notes what the test is about to do, or has just done, to whatever the
// program under test has to do with: a phrase for the report, in the past
// tense. The latest one is shown as what the test did. It may be called on any
// goroutine while the test runs.
func Did(t testing.TB, format string, args ...any) {
	DidAt(t, runpicture.Lane{}, format, args...)
}

// DidAt is Did for what is done somewhere else than in the test, such as to
// ZooKeeper: a picture shows it there.
func DidAt(t testing.TB, lane runpicture.Lane, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	did(t, text, runpicture.Event{Kind: runpicture.Act, Lane: lane, Text: text})
}

// did notes an event that is the last thing the test did, in a report's words.
func did(t testing.TB, words string, e runpicture.Event) {
	tell(t, func(s *story) {
		s.begin(t)
		s.last, s.lastAt = words, time.Since(s.start)
		s.record(s.lastAt, e)
	})
}

// Saw notes what came of it, for the trace only. It may be called on any
// goroutine, also after the test's end.
func Saw(t testing.TB, format string, args ...any) {
	SawAt(t, runpicture.Lane{}, format, args...)
}

// SawAt is Saw for what was seen somewhere else than in the test.
func SawAt(t testing.TB, lane runpicture.Lane, format string, args ...any) {
	Note(t, func() runpicture.Event {
		return runpicture.Event{Kind: runpicture.Seen, Lane: lane, Text: fmt.Sprintf(format, args...)}
	})
}

// Note notes an event, for the trace and the picture only, at the present time.
// It may be called like Saw. Make is called if anybody will see it, and must
// not call this package.
func Note(t testing.TB, make func() runpicture.Event) {
	if recording() {
		ifTold(t, func(s *story) {
			s.begin(t)
			s.record(time.Since(s.start), make())
		})
	}
}

// ifTold runs do with the test's story, if that has begun and is not over. It
// may be called on any goroutine, also after the test's end.
func ifTold(t testing.TB, do func(s *story)) {
	stories.Lock()
	defer stories.Unlock()
	if s := stories.of[t]; s != nil {
		do(s)
	}
}

// record adds an event of that time.
func (s *story) record(at time.Duration, e runpicture.Event) {
	if recording() {
		e.At = at
		s.log.Add(e)
	}
}

// NewGate returns the lane of one more gate of the test, whose number its
// events show.
func NewGate(t testing.TB) (lane runpicture.Lane) {
	tell(t, func(s *story) {
		s.gates++
		lane = runpicture.Lane{Place: runpicture.AtGate, Number: s.gates}
	})
	return lane
}

// ZooKeeper is the lane of what happens in ZooKeeper.
var ZooKeeper = runpicture.Lane{Place: runpicture.AtZooKeeper}

// data returns what an event keeps of bytes.
func data(b []byte) []byte {
	return append([]byte(nil), b[:min(len(b), runpicture.MaxData)]...)
}
