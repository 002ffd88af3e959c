// The event loop: one goroutine that sleeps until a descriptor is ready, a
// timer is due or somebody has posted work, and calls the function that waits
// for it. Everything it calls runs on that one goroutine, so nothing needs a
// lock, and nothing may block: while one function runs, everyone else waits.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxTimers is how many timers run in one turn.
const maxTimers = 256

// A Loop watches descriptors and runs timers. Call its methods before Run, or
// from functions that the loop calls. Post and Drain may be called from any
// goroutine.
type Loop struct {
	// What is waited for.
	poller  Poller
	watches map[int]*watch // by descriptor
	timers  []*Timer       // soonest first; with tens of thousands, a heap would be quicker

	// The turns.
	closing  []int         // descriptors to close at the end of this turn
	lastTurn time.Duration // how long the last turn took, without the sleep

	// The end.
	draining bool     // Drain was called: Run returns when nothing is watched any more
	onDrain  []func() // to be called first

	// What wakes the loop up: work from other goroutines is posted, and a byte
	// in a pipe to ourselves ends the sleep. wakeW is -1 when there is no pipe:
	// before it is made, and after Run has returned.
	wakeR, wakeW int
	mu           sync.Mutex
	posted       []func()
}

// A watch is what the loop knows of a descriptor.
type watch struct {
	mask     Events
	onEvents func(Events)
}

// A Timer is a function that waits for its time, on one loop.
type Timer struct {
	loop *Loop
	when time.Time
	f    func()
}

// NewLoop returns a Loop on that Poller, which it will close: when Run returns,
// or at once if the loop can't be made.
func NewLoop(poller Poller) (*Loop, error) {
	l := &Loop{poller: poller, watches: make(map[int]*watch), wakeR: -1, wakeW: -1}
	err := l.makePipe()
	if err != nil {
		l.release()
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	return l, nil
}

// makePipe makes the pipe to ourselves and watches it. On an error the caller
// releases what it has made.
func (l *Loop) makePipe() error {
	var err error
	l.wakeR, l.wakeW, err = wakePipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	return l.Watch(l.wakeR, Readable, l.runPosted)
}

// Run turns until the loop is drained. It returns an error only when the
// kernel refuses to wait for events, and then closes whatever is watched.
func (l *Loop) Run() error {
	defer l.release()

	for !l.draining || l.isWatching() {
		timeout := time.Duration(-1)
		if len(l.timers) > 0 {
			timeout = max(0, time.Until(l.timers[0].when))
		}

		events, err := l.poller.Wait(timeout)
		if err != nil {
			return fmt.Errorf("wait for events: %w", err)
		}
		l.turn(events)
	}
	return nil
}

// isWatching reports whether anything but our own pipe is watched.
func (l *Loop) isWatching() bool { return len(l.watches) > 1 }

// turn runs everything that is due.
func (l *Loop) turn(events []Event) {
	began := time.Now()
	for _, ev := range events {
		// Something earlier in this turn may have ended this watch or changed
		// its mask, so look at what it wants now.
		w := l.watches[ev.FD]
		if w == nil {
			continue
		}
		wanted := ev.Events & (w.mask | Hangup)
		if wanted != 0 {
			w.onEvents(wanted)
		}
	}

	l.runTimers(time.Now())

	for _, fd := range l.closing {
		_ = unix.Close(fd)
	}
	l.closing = l.closing[:0]
	l.lastTurn = time.Since(began)
}

// runTimers calls the functions whose time has come. When there are very many,
// the rest waits for the next turn, which doesn't sleep.
func (l *Loop) runTimers(now time.Time) {
	for range maxTimers {
		if len(l.timers) == 0 || l.timers[0].when.After(now) {
			return
		}

		due := l.timers[0]
		l.timers[0] = nil // or the array behind the slice would keep the timer alive
		l.timers = l.timers[1:]
		due.f()
	}
}

// runPosted is called when there is a byte in the pipe. It empties the pipe
// first, and then looks at what was posted: in the other order it could swallow
// the byte of something posted in between, and sleep.
func (l *Loop) runPosted(Events) {
	_, _ = unix.Read(l.wakeR, make([]byte, 16)) // there is seldom more than one

	l.mu.Lock()
	posted := l.posted
	l.posted = nil // what these functions post waits for the next call of runPosted
	l.mu.Unlock()

	for _, f := range posted {
		f()
	}
}

// Watch calls onEvents from now on whenever fd is ready for one of the events
// in mask, or has hung up. It replaces an earlier Watch of the same descriptor.
// When the kernel refuses, Watch returns an error and fd is not watched.
func (l *Loop) Watch(fd int, mask Events, onEvents func(Events)) error {
	w := l.watches[fd]
	if w != nil && w.mask == mask {
		w.onEvents = onEvents
		return nil
	}

	err := l.poller.Set(fd, mask)
	if err != nil {
		delete(l.watches, fd)
		_ = l.poller.Remove(fd) // or it might still be watched as before
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	l.watches[fd] = &watch{mask, onEvents}
	return nil
}

// CloseFD ends watching fd at once and closes it at the end of the turn. Closed
// earlier, its number could be given to a new connection while this turn's
// batch still holds an event for the old one.
func (l *Loop) CloseFD(fd int) {
	delete(l.watches, fd)
	_ = l.poller.Remove(fd)
	l.closing = append(l.closing, fd)
}

// AfterFunc calls f once when d has passed, unless the Timer that it returns is
// stopped before.
func (l *Loop) AfterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{loop: l, when: time.Now().Add(d), f: f}
	at := sort.Search(len(l.timers), func(i int) bool { return l.timers[i].when.After(t.when) })
	l.timers = slices.Insert(l.timers, at, t)
	return t
}

// Stop ends the Timer: its function isn't called any more. Stop does nothing
// when that was called already, the Timer was stopped already, or t is nil.
func (t *Timer) Stop() {
	if t == nil {
		return
	}

	at := slices.Index(t.loop.timers, t)
	if at >= 0 {
		t.loop.timers = slices.Delete(t.loop.timers, at, at+1)
	}
}

// Post calls f soon, on the loop's goroutine: after the function that runs
// there now, and at the latest in the next turn. A function that posts itself
// is called once a turn at most. Any goroutine may call Post; it doesn't block.
// What is posted during the loop's last turn, or after it, is never called.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.wakeW < 0 {
		return // the loop has ended
	}
	l.posted = append(l.posted, f)
	if len(l.posted) == 1 {
		_, _ = unix.Write(l.wakeW, []byte{0})
	}
}

// OnDrain arranges for f to be called once, when the loop is told to drain,
// after the functions that were given to OnDrain earlier. Anything that keeps a
// watch must give it a function that leads to CloseFD, or Run never returns.
func (l *Loop) OnDrain(f func()) {
	l.onDrain = append(l.onDrain, f)
}

// Drain tells the loop to end: the loop calls the functions that OnDrain was
// given, and Run returns as soon as nothing is watched any more. Any goroutine
// may call Drain, more than once; it doesn't block.
func (l *Loop) Drain() {
	l.Post(func() {
		if l.draining {
			return
		}

		l.draining = true
		for _, f := range l.onDrain {
			f()
		}
	})
}

// release gives back what the loop holds: the poller, its pipe, and all that is
// still watched.
func (l *Loop) release() {
	for fd := range l.watches {
		if fd != l.wakeR {
			_ = unix.Close(fd)
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	_ = errors.Join(unix.Close(l.wakeR), unix.Close(l.wakeW), l.poller.Close())
	l.wakeW, l.posted = -1, nil // Post may still be called
}
