// The journal: the log of events, and the latest state, for whoever looks on.

package play

import (
	"fmt"
	"sync"
	"time"
)

// keepEntries is how much of the log a page that is opened late can read.
const keepEntries = 500

// A journal is safe for concurrent use.
type journal struct {
	began time.Time

	mu      sync.Mutex
	entries []Entry
	state   State
	version int           // of state and entries together
	changed chan struct{} // closed and replaced with each version
	readers int
}

func newJournal() *journal { return &journal{began: time.Now(), changed: make(chan struct{})} }

// since returns the time since the start, in milliseconds.
func (j *journal) since(moment time.Time) int64 { return moment.Sub(j.began).Milliseconds() }

// say adds a line to the log.
func (j *journal) say(kind, format string, args ...any) {
	j.sayAt(time.Now(), kind, format, args...)
}

func (j *journal) sayAt(at time.Time, kind, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	id := 1
	if n := len(j.entries); n > 0 {
		id = j.entries[n-1].ID + 1
	}
	j.entries = append(j.entries, Entry{id, j.since(at), kind, fmt.Sprintf(format, args...)})
	if len(j.entries) > keepEntries {
		j.entries = j.entries[1:]
	}
	j.wake()
}

// show makes s the latest state.
func (j *journal) show(s State) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.At = j.since(time.Now())
	j.state = s
	j.wake()
}

func (j *journal) wake() {
	j.version++
	close(j.changed)
	j.changed = make(chan struct{})
}

// A view is what a reader gets.
type view struct {
	state   State
	entries []Entry // that the reader hasn't got yet
	version int
	changed <-chan struct{} // closed when there is more
}

// look returns what there is, with the entries after the one of that id.
func (j *journal) look(after int) view {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := view{state: j.state, version: j.version, changed: j.changed}
	for _, e := range j.entries {
		if e.ID > after {
			v.entries = append(v.entries, e)
		}
	}
	return v
}

// read notes that somebody looks on, until the function that it returns is
// called.
func (j *journal) read() (end func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.readers++
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.readers--
	}
}

// watched tells whether somebody looks on.
func (j *journal) watched() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.readers > 0
}
