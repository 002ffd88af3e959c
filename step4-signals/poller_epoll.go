// The epoll Poller (Linux). The kernel keeps the set of watched descriptors,
// so that a Wait costs as much as there are ready ones, however many idle.

//go:build linux

package main

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type epollPoller struct {
	fd     int
	raw    [256]unix.EpollEvent // what the kernel reports
	events [256]Event           // the same in our terms
	coarse bool                 // the kernel is older than epoll_pwait2 (5.11)
}

// NewEpollPoller returns a Poller on epoll(7).
func NewEpollPoller() (Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &epollPoller{fd: fd}, err
}

func (p *epollPoller) Set(fd int, mask Events) error {
	ev := unix.EpollEvent{Fd: int32(fd), Events: uint32(mask)} // no EPOLLET: level-triggered
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &ev)
	if errors.Is(err, unix.ENOENT) {
		err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev)
	}
	return err
}

func (p *epollPoller) Remove(fd int) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

func (p *epollPoller) Wait(timeout time.Duration) ([]Event, error) {
	n, err := p.wait(timeout)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, err
	}

	for i, ev := range p.raw[:max(n, 0)] {
		p.events[i] = Event{FD: int(ev.Fd), Events: Events(ev.Events)}
	}
	return p.events[:max(n, 0)], nil
}

// wait prefers epoll_pwait2, whose timeout counts nanoseconds: the pauses
// between two accepts are shorter than epoll_wait's millisecond.
func (p *epollPoller) wait(timeout time.Duration) (int, error) {
	if timeout <= 0 || p.coarse {
		return unix.EpollWait(p.fd, p.raw[:], milliseconds(timeout))
	}

	// The kernel's type has 64 bits on 32-bit machines, too.
	ts := struct{ sec, nsec int64 }{int64(timeout / time.Second), int64(timeout % time.Second)}
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.raw[0])),
		uintptr(len(p.raw)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.ENOSYS, unix.EPERM: // EPERM: some sandboxes' answer to a call they don't know
		p.coarse = true
		return p.wait(timeout)
	}
	return 0, errno
}

func (p *epollPoller) Close() error {
	return unix.Close(p.fd)
}
