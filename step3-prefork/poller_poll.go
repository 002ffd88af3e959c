// The poll Poller (every Unix). We keep the set of watched descriptors and
// hand all of it to the kernel at each Wait: simple, portable, and the slower
// the more connections are idle.

//go:build unix

package main

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

type pollPoller struct {
	fds    []unix.PollFd // what poll(2) takes
	index  map[int]int   // where in fds a descriptor stands
	events []Event       // what the last Wait found
}

// NewPollPoller returns a Poller on poll(2).
func NewPollPoller() (Poller, error) {
	return &pollPoller{index: make(map[int]int)}, nil
}

func (p *pollPoller) Set(fd int, mask Events) error {
	i, ok := p.index[fd]
	if !ok {
		i = len(p.fds)
		p.index[fd] = i
		p.fds = append(p.fds, unix.PollFd{Fd: int32(fd)})
	}
	p.fds[i].Events = int16(mask)
	return nil
}

func (p *pollPoller) Remove(fd int) error {
	i, ok := p.index[fd]
	if !ok {
		return unix.ENOENT
	}

	// The last one takes its place.
	last := len(p.fds) - 1
	p.fds[i] = p.fds[last]
	p.index[int(p.fds[i].Fd)] = i
	p.fds = p.fds[:last]
	delete(p.index, fd)
	return nil
}

func (p *pollPoller) Wait(timeout time.Duration) ([]Event, error) {
	n, err := unix.Poll(p.fds, milliseconds(timeout))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, err
	}

	p.events = p.events[:0]
	for _, fd := range p.fds {
		if n > 0 && fd.Revents != 0 {
			p.events = append(p.events, Event{FD: int(fd.Fd), Events: Events(fd.Revents)})
		}
	}
	return p.events, nil
}

func (p *pollPoller) Close() error {
	return nil
}
