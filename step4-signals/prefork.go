// Prefork: one listening socket, many processes. Go can't fork without exec,
// so the master starts its own executable again for every worker, and the
// worker finds what it needs at agreed descriptors. This file is the mechanism
// only; when to start and stop workers is the master's policy.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A worker's descriptors, behind standard input, output and error.
const (
	listenerFD = 3 // the listening socket, which all workers share
	lifelineFD = 4 // a pipe that nobody writes to: it ends when the master does
	readyFD    = 5 // a pipe in which one byte says: this worker accepts connections
)

// workerMark is the environment variable that tells a worker what it is. A
// worker that overlooked it would be a master, with workers of its own, and
// so on: a fork bomb.
const workerMark = "RPC_WORKER"

// A Prefork starts workers on one listening socket.
type Prefork struct {
	listener int
	lifeline *os.File // the end that workers inherit
	alive    *os.File // the other end: open exactly as long as this process lives
}

// A Worker is a process that was started as one.
type Worker struct {
	PID   int
	ready *os.File
}

// NewPrefork returns a Prefork for that listening socket, which stays the
// caller's.
func NewPrefork(listener int) (*Prefork, error) {
	lifeline, alive, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	return &Prefork{listener, lifeline, alive}, nil
}

// Spawn starts one worker and doesn't wait for it.
func (p *Prefork) Spawn() (*Worker, error) {
	ready, readyW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the ready pipe: %w", err)
	}
	defer readyW.Close()
	path := executable()
	// ForkExec gives the child these descriptors as 0 to 5 and no others:
	// everything else that this process has open is close-on-exec.
	pid, err := syscall.ForkExec(path, os.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), workerMark+"=1"),
		Files: []uintptr{0, 1, 2, uintptr(p.listener), p.lifeline.Fd(), readyW.Fd()},
	})
	if err != nil {
		ready.Close()
		return nil, fmt.Errorf("start a worker from %s: %w", path, err)
	}
	return &Worker{PID: pid, ready: ready}, nil
}

// executable returns a path of the running program. The first holds even if
// its file has been replaced since: new workers must fit the old master.
func executable() string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self
	}

	path, err := os.Executable()
	if err == nil {
		return path
	}

	path, err = exec.LookPath(os.Args[0]) // Linux without /proc
	if err == nil {
		return path
	}
	return os.Args[0]
}

// WaitReady blocks until the worker accepts connections. It returns an error
// if the worker ends first, or takes longer than the timeout. Call it once.
func (w *Worker) WaitReady(timeout time.Duration) error {
	defer w.ready.Close()
	_ = w.ready.SetReadDeadline(time.Now().Add(timeout))
	_, err := w.ready.Read(make([]byte, 1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("worker %d was not ready within %v", w.PID, timeout)
	case err != nil:
		return fmt.Errorf("worker %d ended before it was ready", w.PID)
	}
	return nil
}

// IsWorker reports whether this process was started by Spawn. It must be asked
// once, before anything else is opened or started: it also sees to it that
// what this process was given, by a master or by a shell, goes no further.
func IsWorker() bool {
	mark := os.Getenv(workerMark)
	os.Unsetenv(workerMark) // even if it is empty: in front of ours it would hide it
	keepDescriptors()
	return mark != ""
}

// keepDescriptors marks whatever is open behind standard error close-on-exec.
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
// it is drained. It drains when a signal comes in at stop, and when the master
// is gone, however it went. What isn't done after the grace period is lost:
// then the process ends.
func RunWorker(loop *Loop, stop <-chan os.Signal, grace time.Duration) error {
	// For its first timer Go's runtime opens descriptors, and it ends the
	// process if there are none left: with many clients there might be none later.
	time.AfterFunc(0, func() {})
	gone := make(chan struct{})
	go func() {
		lifeline := os.NewFile(lifelineFD, "lifeline")
		_, _ = lifeline.Read(make([]byte, 1)) // nobody writes: it returns at the end
		close(gone)
	}()
	go func() {
		select {
		case <-stop:
		case <-gone:
			// The master would shut the socket down for all; now each worker does.
			// A sibling that hangs would keep the port, and callers in it.
			loop.Post(func() {
				drain := loop.OnDrain
				loop.OnDrain = func() {
					if drain != nil {
						drain()
					}
					_ = unix.Shutdown(listenerFD, unix.SHUT_RD)
				}
			})
		}
		loop.Drain()
		time.Sleep(grace)
		slog.Error("worker gives up what is unfinished", "pid", os.Getpid(), "after", grace)
		os.Exit(1)
	}()
	ready := os.NewFile(readyFD, "ready")
	_, err := ready.Write([]byte{1})
	if err = errors.Join(err, ready.Close()); err != nil {
		return fmt.Errorf("report ready: %w", err)
	}
	return loop.Run()
}
