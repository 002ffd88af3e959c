// Heartbeats: a worker whose loop hangs is alive for the kernel, and holds
// connections that nobody answers. So each loop tells the master now and then
// that it turns, and the master kills a worker that doesn't: then SIGCHLD says
// the rest, as for any other death.

//go:build unix

package rpc

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// saysAlive is what a worker says at each heartbeat.
const saysAlive = 'a'

// maxSilent is how many heartbeats of a worker may be missing, and so how many
// there are in a hang timeout.
const maxSilent = 10

// beat has a loop tell the master that it turns, so often that one who hangs
// is noticed by the timeout; 0: never. It must be called before Run.
func beat(loop *Loop, timeout time.Duration) {
	if timeout == 0 {
		return
	}
	loop.AfterFunc(timeout/maxSilent, func() {
		_ = say(saysAlive) // a timer of the loop: a goroutine would say so although the loop hangs
		beat(loop, timeout)
	})
}

// checkHearts looks at all workers now and then, and kills those that hang. It
// counts its own looks instead of asking a clock: if the machine slept, or the
// master was stopped, it didn't look, and the workers couldn't be heard.
func (s *Supervisor) checkHearts() {
	if s.HangTimeout == 0 || s.phase != running {
		return
	}

	for i := range s.slots {
		slot := &s.slots[i]
		if slot.state < slotReady {
			continue // startTimeout is for those
		}
		slot.silent++
		if slot.silent == maxSilent+1 {
			slog.Warn("worker hangs: it is killed", "pid", slot.worker.PID, "silent for", s.HangTimeout)
			_ = unix.Kill(slot.worker.PID, unix.SIGKILL)
		}
	}

	s.after(s.HangTimeout/maxSilent, s.checkHearts)
}
