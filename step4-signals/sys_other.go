// What other Unix systems, macOS among them, have in place of epoll and
// accept4.

//go:build unix && !linux

package main

import "golang.org/x/sys/unix"

// NewPoller returns the system's best Poller.
func NewPoller() (Poller, error) {
	return NewPollPoller()
}

// accept takes one connection; its descriptor doesn't block and isn't
// inherited by programs that we start.
func accept(listener int) (fd int, err error) {
	fd, _, err = unix.Accept(listener)
	if err == nil {
		unix.CloseOnExec(fd)
		err = unix.SetNonblock(fd, true)
	}
	return fd, err
}

// unread returns how many bytes have come in at a socket and are not read yet.
func unread(fd int) (int, error) {
	const fionread = 0x4004667f // for which package unix has no name
	return unix.IoctlGetInt(fd, fionread)
}
