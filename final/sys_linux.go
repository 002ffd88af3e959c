// What Linux has of its own: epoll, accept4, pipe2, and a name for a constant.

package rpc

import "golang.org/x/sys/unix"

// NewPoller returns the system's best Poller.
func NewPoller() (Poller, error) {
	return NewEpollPoller()
}

// accept takes one connection; its descriptor doesn't block and isn't
// inherited by programs that we start.
func accept(listener int) (fd int, err error) {
	fd, _, err = unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return fd, err
}

// wakePipe makes a pipe. Its ends don't block and aren't inherited by programs
// that we start. On an error they are -1.
func wakePipe() (r, w int, err error) {
	var ends [2]int
	err = unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC)
	if err != nil {
		return -1, -1, err
	}
	return ends[0], ends[1], nil
}

// unread returns how many bytes have come in at a socket and are not read yet.
func unread(fd int) (int, error) {
	return unix.IoctlGetInt(fd, unix.TIOCINQ)
}
