// The event loop: one goroutine that sleeps until a descriptor is ready, a
// timer is due or somebody has posted work, and calls the function that waits
// for it. Everything it calls runs on that one goroutine, so nothing needs a
// lock, and nothing may block: while one function runs, everyone else waits.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Loop watches descriptors and runs timers. Its methods belong to the
// functions that it calls (and to the time before Run), except Post and Drain,
// which any goroutine may call.
type Loop struct {
	// OnDrain, if set, is called once when the loop is told to drain. It must
	// see to it that everything watched is closed some day.
	OnDrain func()

	poller  Poller
	watches map[int]*watch // by descriptor
	timers  []timer        // soonest first
	closing []int          // descriptors to close at the end of this turn

	draining bool // end when nothing is watched any more

	wakeR, wakeW int // a pipe to ourselves: a byte in it ends the sleep

	mu     sync.Mutex
	posted []func() // work from other goroutines
}

type watch struct {
	mask  Events
	ready func(Events)
}

type timer struct {
	when time.Time
	f    func()
}

// NewLoop returns a Loop on that Poller, which it will close.
func NewLoop(poller Poller) (*Loop, error) {
	var pipe [2]int
	err := unix.Pipe(pipe[:])
	for _, fd := range pipe {
		unix.CloseOnExec(fd)
		err = errors.Join(err, unix.SetNonblock(fd, true))
	}
	l := &Loop{poller: poller, watches: make(map[int]*watch), wakeR: pipe[0], wakeW: pipe[1]}
	l.Watch(l.wakeR, Readable, l.runPosted)
	return l, err
}

// Watch calls ready from now on whenever fd is ready for one of the events in
// mask, or has hung up. It replaces an earlier Watch of the same descriptor.
// One that the kernel refuses to watch counts as hung up.
func (l *Loop) Watch(fd int, mask Events, ready func(Events)) {
	w := l.watches[fd]
	if w != nil && w.mask == mask {
		w.ready = ready
		return
	}
	l.watches[fd] = &watch{mask, ready}
	if err := l.poller.Set(fd, mask); err != nil {
		slog.Error("descriptor can't be watched", "fd", fd, "err", err)
		l.Post(func() { ready(Hangup) })
	}
}

// Close ends watching fd at once and closes it at the end of the turn. Closed
// earlier, its number could be given to a new connection while this turn's
// batch still holds an event for the old one.
func (l *Loop) Close(fd int) {
	delete(l.watches, fd)
	_ = l.poller.Remove(fd)
	l.closing = append(l.closing, fd)
}

// After calls f once when d has passed.
func (l *Loop) After(d time.Duration, f func()) {
	when, at := time.Now().Add(d), len(l.timers)
	for at > 0 && l.timers[at-1].when.After(when) {
		at--
	}
	l.timers = slices.Insert(l.timers, at, timer{when, f})
}

// Post calls f on the loop's goroutine at its next turn. Any goroutine may
// call Post; it doesn't block. After Run has returned, f is never called.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.posted = append(l.posted, f); len(l.posted) == 1 {
		_, _ = unix.Write(l.wakeW, []byte{0})
	}
}

// Drain tells the loop to come to an end: OnDrain is called, and Run returns as
// soon as nothing is watched any more. Any goroutine may call Drain, more than
// once; it doesn't block.
func (l *Loop) Drain() {
	l.Post(func() {
		if !l.draining && l.OnDrain != nil {
			l.OnDrain()
		}
		l.draining = true
	})
}

// Run turns until the loop is drained. It returns an error only when the
// kernel refuses to wait for events.
func (l *Loop) Run() error {
	defer l.release()
	for !l.draining || len(l.watches) > 1 { // one is our own pipe
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

// turn runs everything that is due.
func (l *Loop) turn(events []Event) {
	for _, ev := range events {
		// Something earlier in this turn may have ended this watch or changed
		// its mask, so look at what it wants now.
		if w := l.watches[ev.FD]; w != nil && ev.Events&(w.mask|Hangup) != 0 {
			w.ready(ev.Events & (w.mask | Hangup))
		}
	}
	for now := time.Now(); len(l.timers) > 0 && !l.timers[0].when.After(now); {
		f := l.timers[0].f
		l.timers = l.timers[1:]
		f()
	}
	for _, fd := range l.closing {
		_ = unix.Close(fd)
	}
	l.closing = l.closing[:0]
}

// runPosted is called when there is a byte in the pipe. It empties the pipe
// before it looks at what was posted: in the other order it could swallow the
// byte of something posted in between, and sleep.
func (l *Loop) runPosted(Events) {
	_, _ = unix.Read(l.wakeR, make([]byte, 16))
	l.mu.Lock()
	posted := l.posted
	l.posted = nil // what posts itself again runs once a turn
	l.mu.Unlock()
	for _, f := range posted {
		f()
	}
}

// release gives back what the loop itself holds.
func (l *Loop) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = errors.Join(unix.Close(l.wakeR), unix.Close(l.wakeW), l.poller.Close())
	l.wakeW = -1 // Post may still be called
}
