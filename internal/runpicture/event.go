// Package runpicture tells what happened in one run of a test, twice: as lines
// of text, and as a picture with a lane for each who took part. Both are made
// from the same events, which package harness and those around it note as they
// happen. Begin with Event; a Log keeps them, Text and Page show them.
package runpicture

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Kind says what sort of thing an event is.
type Kind int

// The kinds of events.
const (
	Act    Kind = iota // the test did something, or had it done, in the event's lane
	Seen               // somebody noticed something
	Frame              // bytes travelled from the event's lane to a server, To, if that is known
	Reply              // bytes travelled from a server to To
	Answer             // a client printed what a server had answered
	Signal             // a signal was sent to the processes of To
	Born               // the processes of To were there for the first time
	Zombie             // they had ended, and their parent had not fetched their status
	Gone               // they were there no more
	Dialed             // the test asked for a connection
	Opened             // a connection of the test was made
	Closed             // it was closed by the test
	Held               // the process of To holds the other end of the connection
	Said               // a process logged or printed a line
	Parted             // what was expected and what was got differ
	Left               // events in its place were left out, see Log
)

// An Event is something that happened at a time since the test's beginning.
type Event struct {
	At   time.Duration
	Kind Kind
	Lane Lane   // where, or from where
	To   []Lane // to where
	Text string // in words
	Data []byte `json:",omitempty"` // of a frame: its first bytes
}

// A Place is what sort of thing has a lane.
type Place int

// The places, in the order of their lanes from left to right.
const (
	AtTest Place = iota
	AtConn
	AtProcess
	AtStub
	AtGate
	AtZooKeeper
)

// A Lane is one of those who took part. The zero Lane is the test.
type Lane struct {
	Place  Place
	Number int // of a connection or a gate, from 1; of a process, its pid; of a stub, its port
	Group  int // of a process: the pid of its master
}

// String names the lane, as in "connection 3".
func (l Lane) String() string {
	names := map[Place]string{AtTest: "test", AtConn: "connection", AtStub: "stub", AtGate: "gate",
		AtZooKeeper: "ZooKeeper", AtProcess: "pid"}
	if l.Number == 0 {
		return names[l.Place]
	}
	return fmt.Sprintf("%s %d", names[l.Place], l.Number)
}

func isConn(l Lane) bool { return l.Place == AtConn }

// A Log keeps the beginning and the end of what happened: tests send thousands
// of frames. Those, and what programs say, don't push out what happens rarely.
// The zero Log is empty. It is not for several goroutines at once.
type Log struct{ rare, busy part }

// How many events a Log keeps of each sort.
const (
	maxRare = 200 // at the beginning, and as many at the end
	maxBusy = 100
)

// Add adds an event. Events come in the order of their times, more or less.
func (l *Log) Add(e Event) {
	switch e.Kind {
	case Frame, Reply, Answer, Said, Held, Dialed, Opened, Closed:
		l.busy.add(e, maxBusy)
	default:
		l.rare.add(e, maxRare)
	}
}

// Events returns what is kept, in the order of time. An event of the kind Left
// stands where some are not.
func (l *Log) Events() []Event {
	events := slices.Concat(l.rare.first, l.busy.first)
	events = l.rare.appendLast(events, "events", maxRare)
	events = l.busy.appendLast(events, "frames and lines", maxBusy)
	slices.SortStableFunc(events, func(a, b Event) int { return int(a.At - b.At) })
	return events
}

// A part is the events of one sort.
type part struct {
	first, last []Event
	dropped     int
}

func (p *part) add(e Event, most int) {
	if len(p.first) < most {
		p.first = append(p.first, e)
		return
	}

	p.last = append(p.last, e)
	if len(p.last) > 3*most { // not one by one: that would copy all of them each time
		p.dropped += len(p.last) - most
		p.last = append([]Event(nil), p.last[len(p.last)-most:]...)
	}
}

// appendLast appends the latest events, at most so many, and before them what
// says how many are left out.
func (p *part) appendLast(events []Event, what string, most int) []Event {
	last := p.last[max(0, len(p.last)-most):]
	dropped := p.dropped + len(p.last) - len(last)
	if dropped > 0 {
		text := fmt.Sprintf("%d %s are left out", dropped, what)
		events = append(events, Event{At: last[0].At, Kind: Left, Text: text})
	}
	return append(events, last...)
}

// Text returns the events as lines, one for each, which begins with its time.
// What the test did stands on the left, what came of it is indented.
func Text(events []Event) string {
	var b strings.Builder

	for _, e := range events {
		line := e.line()
		if e.Kind != Act && e.Kind != Dialed && e.Kind != Signal && (e.Kind != Frame || e.Lane.Place != AtConn) {
			line = "  " + line
		}

		fmt.Fprintf(&b, "%8.3fs  %s\n", e.At.Seconds(), strings.ReplaceAll(line, "\n", "\n           "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// line returns the event in words.
func (e Event) line() string {
	switch e.Kind {
	case Left:
		return "… (" + e.Text + ")"
	case Parted:
		return "here it failed: " + e.Text
	case Frame, Reply, Opened, Closed:
		if i := slices.IndexFunc(e.To, isConn); i >= 0 && len(e.To) == 1 {
			return e.To[i].String() + ": " + e.Text
		}
		if isConn(e.Lane) && len(e.To) < 2 {
			return e.Lane.String() + ": " + e.Text
		}
	case Held:
		return fmt.Sprintf("%v is served by %v", e.Lane, e.To[0])
	}

	return e.Text
}
