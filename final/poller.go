// A Poller asks the kernel which descriptors are ready. It is the part of an
// event loop that differs between systems, and nothing else: epoll(7) on
// Linux, poll(2) everywhere. Both are level-triggered: a condition is reported
// again at every Wait for as long as it lasts.

//go:build unix

package rpc

import (
	"time"

	"golang.org/x/sys/unix"
)

// Events is a set of conditions of a descriptor, in poll's bits, which are
// epoll's as well.
type Events uint32

const (
	Readable Events = unix.POLLIN
	Writable Events = unix.POLLOUT
	// Hangup means broken, or closed by both sides. It is reported whether
	// asked for or not.
	Hangup Events = unix.POLLHUP | unix.POLLERR | unix.POLLNVAL
)

// An Event says what a descriptor is ready for.
type Event struct {
	FD     int
	Events Events
}

// A Poller watches descriptors. It is not safe for concurrent use.
type Poller interface {
	// Set watches fd for the events in mask, and for nothing else from now
	// on. With mask 0, Hangup alone is reported.
	Set(fd int, mask Events) error
	// Remove ends watching fd. It must come before fd is closed: a closed
	// descriptor that another process shares would stay watched, and could
	// not be removed any more.
	Remove(fd int) error
	// Wait blocks until a descriptor is ready or the timeout has passed; a
	// negative timeout never passes. A signal may end it early. The slice is
	// valid until the next Wait.
	Wait(timeout time.Duration) ([]Event, error)
	// Close gives the Poller's own resources back, not those watched.
	Close() error
}

// milliseconds rounds up: rounded down, a wait would end before its time, and
// the loop would spin through the last fraction of a millisecond.
func milliseconds(timeout time.Duration) int {
	const maxWait = time.Hour // fits the kernel's int, and waking once an hour is no cost
	if timeout < 0 {
		return -1
	}
	return int((min(timeout, maxWait) + time.Millisecond - 1) / time.Millisecond)
}
