// What other Unix systems, macOS among them, have in place of epoll, accept4
// and pipe2.

//go:build unix && !linux

package rpc

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// NewPoller returns the system's best Poller.
func NewPoller() (Poller, error) {
	return NewPollPoller()
}

// accept takes one connection; its descriptor doesn't block and isn't
// inherited by programs that we start.
func accept(listener int) (fd int, err error) {
	// Nobody starts a program before we have said what it may not inherit. The
	// listener doesn't block, so nobody has to wait for us for long.
	syscall.ForkLock.RLock()
	fd, _, err = unix.Accept(listener)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}

	err = unix.SetNonblock(fd, true)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// wakePipe makes a pipe. Its ends don't block and aren't inherited by programs
// that we start. On an error they are -1.
func wakePipe() (r, w int, err error) {
	var ends [2]int
	syscall.ForkLock.RLock() // as in accept
	err = unix.Pipe(ends[:])
	if err == nil {
		unix.CloseOnExec(ends[0])
		unix.CloseOnExec(ends[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, -1, err
	}

	err = errors.Join(unix.SetNonblock(ends[0], true), unix.SetNonblock(ends[1], true))
	if err != nil {
		_ = errors.Join(unix.Close(ends[0]), unix.Close(ends[1]))
		return -1, -1, err
	}
	return ends[0], ends[1], nil
}

// unread returns how many bytes have come in at a socket and are not read yet.
func unread(fd int) (int, error) {
	const fionread = 0x4004667f // for which package unix has no name
	return unix.IoctlGetInt(fd, fionread)
}
