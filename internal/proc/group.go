// Package proc starts programs so that nothing of them is left behind. Start
// runs one in a process group of its own, and the watchdog kills that group
// when this process ends, in whatever way. A Group can be signalled, paused,
// stopped and killed, and tells when the last of its processes has gone.
//
// Around that: the process table, read from /proc or from ps (table.go,
// lookup.go), a guard against fork bombs (limit.go) and a directory for
// temporary files that goes when this process does (watchdog.go).
//
// It is for tests as well as for programs such as the demo: it knows nothing of
// package testing. A program that uses it calls End last.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	killTimeout = 10 * time.Second // for killed processes to disappear
	pollPause   = time.Millisecond // between two looks at the process table
)

// A Group is a program that was started, with all the processes that it
// starts: a process group. Its methods may be called on any goroutine.
type Group struct {
	// PID is that of the process that was started, and the group's number.
	PID int

	cmd  *exec.Cmd
	done chan struct{} // closed when the started process has been waited for

	// Nothing is left of the group: its number may be another's by now, so
	// that it is not signalled any more.
	gone    atomic.Bool
	forget  func() error // ends all that is done for a group that lives
	pausing sync.Mutex
	paused  bool // guarded by pausing
}

// Start starts cmd in a process group of its own, out of reach of Ctrl-C in a
// terminal, and returns when it runs. The program heeds SIGHUP and SIGINT, even
// if this process was told to ignore them. The group is killed when this
// process ends. Start waits for the program in the background: cmd.Wait is not
// the caller's to call, nor is cmd.StdoutPipe, see StartReading. Where the
// output goes to a Writer, and not to a file, the program counts as ended when
// all who inherited the output have.
func Start(cmd *exec.Cmd) (*Group, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	heed()
	if err := cmd.Start(); err != nil {
		return nil, err
	}

	g := &Group{PID: cmd.Process.Pid, cmd: cmd, done: make(chan struct{})}
	g.forget = sync.OnceValue(func() error {
		unlimit(g.PID)
		return theWatchdog.tell('-', g.PID)
	})
	guardErr := theWatchdog.tell('+', g.PID)
	go g.reap()
	if guardErr != nil {
		return nil, errors.Join(guardErr, g.Kill())
	}
	return g, nil
}

// heed sees to it that programs don't inherit what nohup, or a shell for a
// command in the background, made this process ignore: a program that is tested
// would then ignore it, too. This process itself goes on ignoring it, but by
// catching the signal, which a new program doesn't inherit.
var heed = sync.OnceFunc(func() {
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
})

// StartReading is Start for a program whose standard output is read while it
// runs. The output ends when the last process that inherited it has ended; it
// is the caller's to close.
func StartReading(cmd *exec.Cmd) (g *Group, output *os.File, err error) {
	output, stdout, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make a pipe for a program's output: %w", err)
	}
	defer stdout.Close()

	cmd.Stdout = stdout
	g, err = Start(cmd)
	if err != nil {
		output.Close()
		return nil, nil, err
	}
	return g, output, nil
}

// reap fetches the exit status of the started process.
func (g *Group) reap() {
	_ = g.cmd.Wait() // how it ended is in g.cmd.ProcessState
	if left, err := Living(g.PID); err == nil && len(left) == 0 {
		g.gone.Store(true)
		_ = g.forget() // who waits for the end of the group asks again
	}
	close(g.done)
}

// Done is closed when the process that was started has ended, and its exit
// status has been fetched. Others of the group may live on.
func (g *Group) Done() <-chan struct{} { return g.done }

// Ended tells whether Done is closed.
func (g *Group) Ended() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// State waits until the process that was started has ended, and returns how it
// did: nil in the rare case that nobody can tell, as it died during a Pause.
func (g *Group) State() *os.ProcessState {
	<-g.done
	return g.cmd.ProcessState
}

// Living returns the pids of the group's living processes, sorted. A zombie is
// not one.
func (g *Group) Living() ([]int, error) {
	if g.gone.Load() {
		return nil, nil
	}
	return Living(g.PID)
}

// Signal sends sig to the process that was started. The error is
// os.ErrProcessDone if that has ended.
func (g *Group) Signal(sig syscall.Signal) error { return g.cmd.Process.Signal(sig) }

// SignalAll sends sig to all processes of the group at once, as Ctrl-C in a
// terminal does. The error is os.ErrProcessDone if nothing is left of it.
func (g *Group) SignalAll(sig syscall.Signal) error {
	if g.gone.Load() {
		return os.ErrProcessDone
	}
	err := syscall.Kill(-g.PID, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Stop ends the group: with SIGTERM to the process that was started, which may
// be paused, and with SIGKILL for whatever is left when that has ended, or
// after the grace period. It returns when nothing is left.
func (g *Group) Stop(grace time.Duration) error {
	_ = g.Signal(syscall.SIGTERM) // it may have ended
	g.Resume()
	select {
	case <-g.done:
	case <-time.After(grace):
	}
	return g.Kill()
}

// Kill ends the group with SIGKILL and returns when nothing is left of it: what
// it had open, such as a port, is free. Of a group that is gone already nothing
// happens. It fails when processes are left after 10 s.
func (g *Group) Kill() error {
	return g.waitGone(killTimeout, func() { _ = g.SignalAll(syscall.SIGKILL) })
}

// WaitGone waits until nothing is left of the group, for so long at most.
func (g *Group) WaitGone(within time.Duration) error { return g.waitGone(within, func() {}) }

// waitGone does again and again what is to end the group: a process may just
// have been starting another.
func (g *Group) waitGone(within time.Duration, again func()) error {
	late := time.After(within)
	for !g.gone.Load() {
		again()
		ended := g.Ended() // asked first: it may leave a child that a list from before doesn't show
		left, err := Living(g.PID)
		if err != nil {
			return err
		}
		if ended && len(left) == 0 {
			g.gone.Store(true)
			break
		}

		done := g.done
		if ended {
			done = nil // nothing to wait for but the others
		}
		select {
		case <-done: // reap has looked, too
		case <-time.After(pollPause):
		case <-late:
			return fmt.Errorf("not gone after %v: processes %v of group %d", within, left, g.PID)
		}
	}
	return g.forget()
}

// Pause freezes the process that was started with SIGSTOP, and returns when its
// last thread stands still: its connections stay, but nothing is answered. Of
// one that is paused nothing happens.
func (g *Group) Pause() {
	g.pausing.Lock()
	defer g.pausing.Unlock()
	if g.paused || g.Ended() {
		return // the kernel would tell only once
	}
	g.paused = true
	_ = g.Signal(syscall.SIGSTOP)

	// Only wait says when it stands still. If it dies meanwhile, this fetches
	// its status, and reap finds none.
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(g.PID, &status, syscall.WUNTRACED, nil)
		if !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// Resume ends a Pause.
func (g *Group) Resume() {
	g.pausing.Lock()
	defer g.pausing.Unlock()
	g.paused = false
	_ = g.Signal(syscall.SIGCONT) // it may have ended
}
