// Prefork: one listening socket, many processes. Go can't fork without exec,
// so the master starts its own executable again for every worker, and the
// worker finds what it needs at agreed descriptors. This file is the mechanism
// only; when to start and stop workers is the master's policy.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A worker's descriptors, after standard input, output and error.
const (
	listenerFD = 3 // the listening socket, which all workers share
	lifelineFD = 4 // a pipe from the master: it ends when the master does
	readyFD    = 5 // a pipe to the master: its first byte says that this worker accepts connections
)

// What a master says to a worker, a byte each in the lifeline.
const (
	wordRetire = 'r' // drain, and end: the others go on
	wordStop   = 's' // drain, and stay until the lifeline ends: the whole server stops
)

// What a worker says to its master, a byte each in the ready pipe.
const (
	saysReady   = 'r' // it accepts connections
	saysWish    = 'w' // somebody wishes it to end
	saysDrained = 'd' // it has taken what was queued, and accepts no more
)

// workerMark is the environment variable that tells a worker what it is. A
// worker that overlooked it would be a master, with workers of its own, and
// so on: a fork bomb.
const workerMark = "RPC_WORKER"

// DefaultWorkers returns how many workers a server has unless it is told
// otherwise: one for each processor that Go's scheduler may use. In a container
// its CPU quota says how many these are, not the machine.
func DefaultWorkers() int { return runtime.GOMAXPROCS(0) }

// A Worker is a process that Spawn has started. The process drains and ends
// when the Worker is closed or garbage collected, and when the process that
// started it ends, however that happens.
type Worker struct {
	PID      int
	lifeline *os.File // to the worker: no other process has this end
	ready    *os.File // from the worker
}

// Spawn starts one worker on that listening socket, and doesn't wait for it.
func Spawn(listener int) (*Worker, error) {
	lifelineR, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	defer lifelineR.Close()

	ready, readyW, err := os.Pipe()
	if err != nil {
		lifeline.Close()
		return nil, fmt.Errorf("make the ready pipe: %w", err)
	}
	defer readyW.Close()

	w := &Worker{lifeline: lifeline, ready: ready}
	path := executable()
	// ForkExec gives the child these descriptors as 0 to 5 and no others:
	// everything else that this process has open is close-on-exec.
	w.PID, err = syscall.ForkExec(path, os.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), workerMark+"=1"),
		Files: []uintptr{0, 1, 2, uintptr(listener), lifelineR.Fd(), readyW.Fd()},
	})
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("start a worker from %s: %w", path, err)
	}
	return w, nil
}

// executable returns a path of the running program: on Linux one that stays the
// same program even if its file is replaced, because new workers must fit the
// old master.
func executable() string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self
	}

	path, err := os.Executable()
	if err == nil {
		return path
	}

	path, err = exec.LookPath(os.Args[0]) // on Linux, os.Executable needs /proc
	if err == nil {
		return path
	}
	return os.Args[0]
}

// WaitReady blocks until the worker accepts connections, which is the first
// thing that a worker says. It returns an error if the worker ends before that,
// or takes longer than the timeout. Call it once.
func (w *Worker) WaitReady(timeout time.Duration) error {
	_ = w.ready.SetReadDeadline(time.Now().Add(timeout))
	defer w.ready.SetReadDeadline(time.Time{})

	_, err := w.Hear()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("worker %d was not ready within %v", w.PID, timeout)
	case err != nil:
		return fmt.Errorf("worker %d ended before it was ready", w.PID)
	}
	return nil
}

// Hear blocks until the worker says something. It returns an error once the
// worker has ended.
func (w *Worker) Hear() (word byte, err error) {
	var one [1]byte
	_, err = w.ready.Read(one[:])
	return one[0], err
}

// Tell says a word to the worker. It doesn't block: all words that there are
// fit into the pipe.
func (w *Worker) Tell(word byte) {
	_, _ = w.lifeline.Write([]byte{word}) // one that has ended hears nothing, and needn't
}

// Close ends the lifeline and whatever waits in Hear.
func (w *Worker) Close() {
	w.lifeline.Close()
	w.ready.Close()
}

// IsWorker reports whether this process was started by Spawn. Call it once,
// before anything else is opened or started: it also makes sure that what this
// process was given, by a master or by a shell, goes no further. Later calls
// return false.
func IsWorker() bool {
	mark := os.Getenv(workerMark)
	os.Unsetenv(workerMark) // even if it is empty: in front of ours it would hide it
	keepDescriptors()
	return mark != ""
}

// keepDescriptors marks whatever is open after standard error close-on-exec.
func keepDescriptors() {
	last := 255 // where the system doesn't tell what is open
	open, _ := os.ReadDir("/dev/fd")
	for _, entry := range open {
		fd, _ := strconv.Atoi(entry.Name())
		last = max(last, fd)
	}

	for fd := listenerFD; fd <= last; fd++ {
		unix.CloseOnExec(fd) // without effect if it isn't open
	}
}

// RunWorker tells the master that this worker is ready and runs the loop until
// the loop is drained. It drains the loop when the master says so, and when the
// master is gone, however it went. A signal at wishes isn't acted on: RunWorker
// tells the master, who decides. It returns an error if the loop isn't done
// after the grace period: what is unfinished then is lost when the process
// ends.
func RunWorker(loop *Loop, wishes <-chan os.Signal, grace time.Duration) error {
	// The first timer makes Go's runtime open descriptors, and end the process
	// if none is free. So have that timer now, before clients use them up.
	time.AfterFunc(0, func() {})
	_ = unix.SetNonblock(readyFD, true) // so that a master that doesn't listen can't stop us

	// The loop closes its descriptor of the socket when it drains, and we may
	// have to shut the socket down after that. Taken now: later there might be
	// no descriptor left.
	listener, err := unix.FcntlInt(listenerFD, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("keep the listening socket: %w", err)
	}
	shutDown := func() { _ = unix.Shutdown(listener, unix.SHUT_RD) }

	// Normally the master shuts the socket down. If the master is gone, each
	// worker does so once it has taken what was queued: a sibling that hangs
	// holds the socket, too, and the kernel would go on queueing callers there.
	words, gone := hearMaster()
	go func() {
		<-gone
		loop.Drain()
		loop.Post(shutDown) // without effect if the loop has ended
	}()
	defer func() {
		select {
		case <-gone:
			shutDown()
		default: // the others go on
		}
	}()

	loop.OnDrain(func() { _ = say(saysDrained) }) // after the server's own
	err = say(saysReady)
	if err != nil {
		return fmt.Errorf("report ready: %w", err)
	}

	ended := make(chan error, 1)
	go func() { ended <- loop.Run() }()

	var word byte
	for serving := true; serving; {
		select {
		case <-wishes:
			_ = say(saysWish)
		case word = <-words:
			serving = false
		case <-gone:
			serving = false
		case err := <-ended:
			return err
		}
	}

	loop.Drain()
	late := time.After(grace)
	select {
	case err = <-ended:
		if err != nil || word != wordStop {
			return err
		}
	case <-late:
		return fmt.Errorf("worker %d gives up what is unfinished after %v", os.Getpid(), grace)
	}

	// The master will shut the socket down. Should it die before that, and all
	// others be stopped, somebody must be left to do it.
	select {
	case <-gone:
	case <-late:
	}
	shutDown()
	return nil
}

// hearMaster returns a channel of the master's words, and one that is closed
// when the master is gone, or has closed the lifeline.
func hearMaster() (words <-chan byte, gone <-chan struct{}) {
	heard, end := make(chan byte, 1), make(chan struct{})

	go func() {
		defer close(end)
		lifeline := os.NewFile(lifelineFD, "lifeline")
		for {
			word := make([]byte, 1)
			_, err := lifeline.Read(word)
			if err != nil {
				return
			}
			select {
			case heard <- word[0]:
			default: // the first word decides, and who has heard that listens no more
			}
		}
	}()

	return heard, end
}

// say tells the master one thing. It doesn't block.
func say(word byte) error {
	_, err := unix.Write(readyFD, []byte{word})
	return err
}
