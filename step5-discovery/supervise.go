// Supervision: keep N workers alive, and end all of them in good order. One
// goroutine spawns, kills and reaps. That makes killing safe: a pid that we
// have not reaped can't belong to another process, and nobody else reaps.

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTimeout = 5 * time.Second  // a worker that isn't ready by then counts as dead
	stablePeriod = 10 * time.Second // a worker that lived so long leaves a clean record

	// firstBackoff is the pause before a successor after the second early death
	// in a row. Each further one doubles it, up to maxBackoff.
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second

	// maxStarts is how often each slot's worker is started before we give up,
	// if no worker was ever ready.
	maxStarts = 3

	// quietPeriod is how long nobody may accept connections until we count as
	// not serving.
	quietPeriod = time.Second

	// wishDelay begins when a worker was sent SIGTERM. If we are sent it, too,
	// before that is over, it was meant for the whole server.
	wishDelay = 200 * time.Millisecond

	// stopTimeout is how long OnStop may take, and refuseDelay how long the
	// workers have then to accept what is queued: the socket is shut down after
	// that.
	stopTimeout = 3 * time.Second
	refuseDelay = 100 * time.Millisecond
)

// ErrNeverReady says that no worker ever got as far as accepting connections.
var ErrNeverReady = errors.New("no worker ever became ready")

// A Supervisor keeps workers running on one listening socket. Set the exported
// fields, all of them, and call Run, once. Run calls the hooks on its own
// goroutine, except OnStop, which has one to itself.
type Supervisor struct {
	Workers int           // how many, at least 1
	Grace   time.Duration // from telling the workers to end to killing them

	// OnStart is called once, when all workers are ready for the first time, or
	// with those that are ready when that takes too long. It must not block.
	OnStart func(pids []int)
	// OnServing is called with true when there is a worker that accepts
	// connections, and with false when there has been none for a second. It
	// must not block.
	OnServing func(serving bool)
	// OnStop is called first when the server is to stop. The workers serve
	// until it returns or its context ends.
	OnStop func(ctx context.Context)

	// The workers. One in a slot is our child, and has not been reaped: so its
	// pid can be nobody else's.
	listener int // -1: closed
	slots    []slot

	// The way to the end. The phase only ever grows.
	phase    phase
	insisted int                // SIGINTs and SIGTERMs so far
	cancel   context.CancelFunc // ends OnStop's context
	err      error              // why Run gives up

	// What the hooks have been told, and what that depends on.
	started bool      // OnStart has been called
	serving bool      // what OnServing was told last
	proven  bool      // some worker has been ready
	overdue bool      // startTimeout is over: OnStart is called as soon as one worker is ready
	quiet   time.Time // since when no worker accepts connections, if none does

	// What timers and ready pipes want done. All of the above belongs to Run's
	// goroutine, which reads events and calls what comes.
	events chan func()
	done   chan struct{} // closed when nobody reads events any more
}

// A slot is the place of one worker, and of its successors.
type slot struct {
	worker   *Worker // nil: none at the moment
	state    slotState
	started  time.Time // when the worker was spawned
	failures int       // early deaths since a worker lived long
}

// A slotState says how far a slot's worker has come. It grows until the worker
// ends.
type slotState int

const (
	slotEmpty    slotState = iota // there is none at the moment
	slotStarting                  // it doesn't accept connections yet
	slotReady                     // it accepts connections
	slotWished                    // it still does; it was sent SIGTERM, and we wait to hear whether we are, too
	slotRetiring                  // it was told to retire
	slotDrained                   // it accepts no connections any more, and finishes what it has
)

// A phase is a step on the way to the end.
type phase int

const (
	running     phase = iota
	withdrawing       // OnStop runs; workers serve, but nobody replaces them
	draining          // workers finish what they have
)

// Run keeps the workers alive until a signal comes in at stop; then it ends
// them and returns nil. A second SIGINT or SIGTERM kills what is left at once.
// A SIGHUP doesn't: when a terminal is closed, the kernel sends one, and the
// shell another. Run takes over the listener. It returns an error wrapping
// ErrNeverReady if no worker can be brought up.
func (s *Supervisor) Run(listener int, stop <-chan os.Signal) error {
	s.listener, s.slots = listener, make([]slot, s.Workers)
	s.cancel = func() {} // nothing to cancel yet
	s.events, s.done = make(chan func()), make(chan struct{})
	defer close(s.done)

	died := make(chan os.Signal, 1) // before the first spawn, or a death could go unseen
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)

	for i := range s.slots {
		s.spawn(&s.slots[i])
	}
	s.after(startTimeout, func() {
		s.overdue = true
		s.announce()
	})

	for s.phase < draining || slices.ContainsFunc(s.slots, slot.alive) {
		select {
		case sig := <-stop:
			s.stop(sig)
		case <-died:
			s.reap()
		case event := <-s.events:
			event()
		}
	}

	s.closeListener()
	return s.err
}

// pids returns the process ids of the workers that accept connections.
func (s *Supervisor) pids() (pids []int) {
	for _, slot := range s.slots {
		if slot.accepts() {
			pids = append(pids, slot.worker.PID)
		}
	}
	return pids
}

func (s slot) alive() bool     { return s.worker != nil }
func (s slot) accepts() bool   { return s.state >= slotReady && s.state < slotDrained }
func willDrain(s slot) bool    { return s.alive() && s.state < slotDrained }
func hasTriesLeft(s slot) bool { return s.failures < maxStarts }

// post arranges for Run's goroutine to call f. It blocks until that goroutine
// takes f, or Run has returned.
func (s *Supervisor) post(f func()) {
	select {
	case s.events <- f:
	case <-s.done:
	}
}

func (s *Supervisor) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() { s.post(f) })
}

// spawn starts a worker in its slot.
func (s *Supervisor) spawn(slot *slot) {
	if s.phase != running {
		return
	}

	slot.started = time.Now()
	worker, err := Spawn(s.listener)
	if err != nil {
		s.ended(slot, err)
		return
	}

	slot.worker, slot.state = worker, slotStarting
	go func() {
		err := worker.WaitReady(startTimeout)
		s.post(func() { s.onReady(slot, worker, err) })

		for {
			word, err := worker.Hear()
			if err != nil {
				return // it has ended
			}
			s.post(func() { s.onWord(slot, worker, word) })
		}
	}()
}

func (s *Supervisor) onReady(slot *slot, worker *Worker, err error) {
	switch {
	case slot.worker != worker, s.phase != running: // late: it is reaped already, or we are ending
	case err != nil:
		slog.Warn("worker did not start", "err", err)
		_ = unix.Kill(worker.PID, unix.SIGKILL)
	default:
		slot.state, s.proven = slotReady, true
		s.setServing(true)
		s.announce()
	}
}

// announce calls OnStart if it is time.
func (s *Supervisor) announce() {
	pids := s.pids()
	missing := len(s.slots) - len(pids)
	if s.started || s.phase != running || len(pids) == 0 || missing > 0 && !s.overdue {
		return
	}

	s.started = true
	if missing > 0 {
		slog.Warn("serving with fewer workers than asked for: the others don't become ready", "missing", missing)
	}
	s.OnStart(pids)
}

// onWord is called when a worker says something more.
func (s *Supervisor) onWord(slot *slot, worker *Worker, word byte) {
	if slot.worker != worker {
		return // late: it is reaped already
	}

	switch word {
	case saysWish:
		if slot.state != slotReady {
			return // one wish is enough
		}

		// Whoever sends SIGTERM to a worker may be sending it to all of us, and
		// then OnStop comes first. If we hear of no stop, this one was meant.
		slot.state = slotWished
		s.after(wishDelay, func() {
			if slot.worker == worker && slot.state == slotWished && s.phase == running {
				slot.state = slotRetiring
				worker.Tell(wordRetire)
			}
		})
	case saysDrained:
		slot.state = slotDrained
		s.beginQuiet()
		if s.phase == draining && !slices.ContainsFunc(s.slots, willDrain) {
			s.closeListener()
		}
	}
}

func (s *Supervisor) setServing(serving bool) {
	if s.serving != serving && s.phase == running {
		s.serving = serving
		s.OnServing(serving)
	}
}

// reap collects every worker that has died. One signal may stand for many
// deaths, so it asks for all; and for ours only: waiting for any child would
// reap those of other parts of the program, which wait for theirs.
func (s *Supervisor) reap() {
	for _, slot := range s.slots {
		if slot.alive() {
			s.wait(slot.worker.PID)
		}
	}

	more := os.Getpid() == 1 // process 1 inherits every orphan, too
	for more {
		more = s.wait(-1)
	}
}

// wait reaps a child if it has died, by its pid, or any child that has if the
// pid is -1. It reports whether there was one.
func (s *Supervisor) wait(child int) bool {
	var status unix.WaitStatus
	pid, err := unix.Wait4(child, &status, unix.WNOHANG, nil)
	for errors.Is(err, unix.EINTR) {
		pid, err = unix.Wait4(child, &status, unix.WNOHANG, nil)
	}

	why := describe(pid, status)
	if errors.Is(err, unix.ECHILD) {
		pid = child
		why = fmt.Errorf("worker %d is gone; somebody else has reaped it, and knows its exit status", pid)
	}

	for i := range s.slots {
		slot := &s.slots[i]
		if !slot.alive() || slot.worker.PID != pid {
			continue
		}
		if slot.state >= slotRetiring && err == nil && status == 0 {
			why = nil // it has ended as it was told
		}
		s.ended(slot, why)
	}

	return pid > 0
}

func describe(pid int, status unix.WaitStatus) error {
	if status.Signaled() {
		return fmt.Errorf("worker %d was killed by signal %d (%v)", pid, status.Signal(), status.Signal())
	}
	return fmt.Errorf("worker %d exited with status %d", pid, status.ExitStatus())
}

// ended empties a slot and sees to a successor. A worker that has ended as it
// was told, for which why is nil, is replaced at once. So is one that died,
// unless the one before it died early, too: then it takes longer each time.
func (s *Supervisor) ended(slot *slot, why error) {
	if slot.state >= slotReady && time.Since(slot.started) > stablePeriod {
		slot.failures = 0
	}
	worker, accepted := slot.worker, slot.accepts()
	if slot.alive() { // otherwise it could not be started
		worker.Close()
	}
	slot.worker, slot.state = nil, slotEmpty
	if s.phase != running {
		return
	}

	var pause time.Duration
	if why == nil {
		slog.Info("worker retired", "pid", worker.PID, "replaced in", pause)
	} else {
		if slot.failures > 0 {
			pause = min(firstBackoff<<min(slot.failures-1, 8), maxBackoff)
		}
		slot.failures++
		slog.Warn("worker ended", "err", why, "replaced in", pause)
	}
	s.after(pause, func() { s.spawn(slot) })

	if !s.proven && !slices.ContainsFunc(s.slots, hasTriesLeft) {
		s.err = fmt.Errorf("%w: %w", ErrNeverReady, why)
		s.drain()
		s.kill()
	}
	if accepted {
		s.beginQuiet()
	}
}

// beginQuiet is called when a worker accepts no connections any more. If it was
// the last one that did, beginQuiet waits for a while, and says that we don't
// serve if none has become ready meanwhile.
func (s *Supervisor) beginQuiet() {
	if len(s.pids()) > 0 {
		return
	}

	s.quiet = time.Now()
	s.after(quietPeriod, func() {
		if len(s.pids()) == 0 && time.Since(s.quiet) >= quietPeriod {
			s.setServing(false)
		}
	})
}

// stop begins the end: first OnStop takes us off the list, while the workers
// serve; then they drain.
func (s *Supervisor) stop(sig os.Signal) {
	if sig != unix.SIGHUP {
		s.insisted++
	}
	if s.phase != running {
		if s.insisted > 1 {
			s.cancel()
			s.drain()
			s.kill()
		}
		return
	}

	s.phase = withdrawing
	var ctx context.Context
	ctx, s.cancel = context.WithTimeout(context.Background(), stopTimeout)
	go func() {
		defer s.cancel()
		s.OnStop(ctx)
	}()

	go func() {
		<-ctx.Done() // OnStop has returned, or takes too long
		s.post(s.drain)
	}()
}

// drain tells the workers to end. While a socket listens and nobody accepts
// from it, callers connect and hang. It listens as long as any process holds
// it: we do, and so does a worker that is stopped or busy. So it is shut down,
// which counts for all who hold it, as soon as all have taken what was queued.
func (s *Supervisor) drain() {
	if s.phase == draining {
		return
	}

	s.phase = draining
	for _, slot := range s.slots {
		if slot.alive() {
			slot.worker.Tell(wordStop)
		}
	}

	s.after(refuseDelay, s.closeListener)
	s.after(s.Grace, s.kill)
}

func (s *Supervisor) kill() {
	for _, slot := range s.slots {
		if slot.alive() {
			_ = unix.Kill(slot.worker.PID, unix.SIGKILL) // it works on a stopped process, too
		}
	}
}

// closeListener ends the socket for all, and lets workers go that wait for it.
func (s *Supervisor) closeListener() {
	if s.listener < 0 {
		return
	}
	_ = unix.Shutdown(s.listener, unix.SHUT_RD)
	_ = unix.Close(s.listener)
	s.listener = -1

	for _, slot := range s.slots {
		if slot.alive() {
			slot.worker.Close()
		}
	}
}
