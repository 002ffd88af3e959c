// The load generator. It must cost little, because it shares the machine with
// the server: goroutines on the repository's own Poller, one for each
// processor, frames built beforehand, replies counted by their headers and no
// JSON read. A single one would be busy all the time from 64 connections on: it
// would be its own speed that is measured, and its own queue.

//go:build linux

package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	rpc "example.com/rpcworkbook/final"
)

// What every contender is asked, and what a server that reads JSON answers.
const (
	greeting = "hello, world"
	request  = `{"in":"ping","params":"` + greeting + `"}`
	pong     = `{"out":"pong","result":"` + greeting + `"}`
)

// patience is how long a server may be silent before a measurement is given up.
const patience = 30 * time.Second

// A loader is the load on one server, or one goroutine's part of it.
type loader struct {
	job    Job
	poller rpc.Poller
	conns  []*loadConn // by descriptor
	out    []byte      // requests enough for the deepest write
	frame  int         // the length of one
	reply  []byte      // the frame that is expected
	chunk  []byte      // what is being read
	hist   Histogram

	answered int       // connections that have had a whole reply
	heard    time.Time // when the last replies came
}

// A loadConn is one connection.
type loadConn struct {
	fd int

	pending int // bytes to be sent
	offset  int // where in a frame they begin

	sent  []batch // a ring of what is not answered yet
	first int     // the oldest in it
	next  int     // where the next batch goes

	cutter  cutter
	checked int // bytes of the first reply that were as expected
}

// A batch is requests that were sent at one moment.
type batch struct {
	at time.Time
	n  int
}

// newLoader connects as the job says and sends the first requests.
func newLoader(job Job) (l *loader, err error) {
	frame := rpc.AppendFrame(nil, []byte(request))
	l = &loader{
		job:   job,
		out:   bytes.Repeat(frame, job.Depth+1),
		frame: len(frame),
		reply: rpc.AppendFrame(nil, []byte(job.Reply)),
		chunk: make([]byte, 64<<10),
		heard: time.Now(),
	}
	l.poller, err = rpc.NewPoller()
	if err != nil {
		return nil, err
	}

	for i := range job.Conns {
		err = errors.Join(err, l.open(job.addr(i)))
	}
	for _, c := range l.conns {
		if c != nil {
			err = errors.Join(err, l.send(c, time.Now(), job.Depth))
		}
	}
	if err != nil {
		l.close()
	}
	return l, err
}

// dial opens a connection to "127.0.0.1:port" or the like.
func dial(addr string) (fd int, err error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return -1, err
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open a socket: %w", err)
	}

	// A reset at the end leaves no thousands of sockets in TIME_WAIT.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)

	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return fd, nil
}

// open makes one connection.
func (l *loader) open(addr string) error {
	fd, err := dial(addr)
	if err != nil {
		return err
	}
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = &loadConn{fd: fd, sent: make([]batch, l.job.Depth), cutter: cutter{want: uint32(len(l.job.Reply))}}
	return errors.Join(unix.SetNonblock(fd, true), l.poller.Set(fd, rpc.Readable))
}

// run keeps the load up for a while.
func (l *loader) run(d time.Duration) error {
	end := time.Now().Add(d)
	for now := time.Now(); now.Before(end); now = time.Now() {
		events, err := l.poller.Wait(min(end.Sub(now), 100*time.Millisecond))
		if err != nil {
			return fmt.Errorf("wait for replies: %w", err)
		}

		for _, ev := range events {
			if err := l.ready(l.conns[ev.FD], ev.Events); err != nil {
				return err
			}
		}

		if len(events) > 0 {
			l.heard = now
		} else if now.Sub(l.heard) > patience {
			return fmt.Errorf("the server at %s has been silent for %v", l.job.Addr, patience)
		}
	}
	return nil
}

// ready takes replies and sends as many new requests.
func (l *loader) ready(c *loadConn, events rpc.Events) error {
	if events == rpc.Writable {
		if err := l.poller.Set(c.fd, rpc.Readable); err != nil {
			return err
		}
		return l.flush(c)
	}

	n, err := unix.Read(c.fd, l.chunk)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("read replies: %w", err)
	case n == 0:
		return fmt.Errorf("read replies: %w", net.ErrClosed)
	}
	chunk := l.chunk[:n]
	if err := l.check(c, chunk); err != nil {
		return err
	}

	replies, err := c.cutter.count(chunk)
	if err != nil || replies == 0 {
		return err
	}
	now := time.Now()
	if err := l.record(c, now, replies); err != nil {
		return err
	}
	return l.send(c, now, replies)
}

// check compares the first reply with what is expected, as much of it as the
// chunk has.
func (l *loader) check(c *loadConn, chunk []byte) error {
	k := min(len(chunk), len(l.reply)-c.checked)
	if k == 0 {
		return nil
	}
	if !bytes.Equal(chunk[:k], l.reply[c.checked:c.checked+k]) {
		return fmt.Errorf("the reply is not %q: %q", l.reply, chunk[:k])
	}

	c.checked += k
	if c.checked == len(l.reply) {
		l.answered++
	}
	return nil
}

// record notes how long the oldest requests took that so many replies answer.
func (l *loader) record(c *loadConn, now time.Time, replies int) error {
	for left := replies; left > 0; {
		oldest := &c.sent[c.first]
		if oldest.n == 0 {
			return errors.New("a reply that nobody asked for")
		}

		k := min(left, oldest.n)
		l.hist.Record(now.Sub(oldest.at), int64(k))
		left -= k
		oldest.n -= k
		if oldest.n == 0 {
			c.first = (c.first + 1) % len(c.sent)
		}
	}
	return nil
}

// send sends n requests.
func (l *loader) send(c *loadConn, now time.Time, n int) error {
	c.sent[c.next] = batch{now, n} // free: no more batches are out than requests may be
	c.next = (c.next + 1) % len(c.sent)
	c.pending += n * l.frame
	return l.flush(c)
}

// flush sends what is pending as far as the kernel takes it.
func (l *loader) flush(c *loadConn) error {
	for c.pending > 0 {
		n, err := unix.Write(c.fd, l.out[c.offset:c.offset+c.pending])

		switch {
		case errors.Is(err, unix.EAGAIN):
			return l.poller.Set(c.fd, rpc.Readable|rpc.Writable)
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("send requests: %w", err)
		default:
			c.pending -= n
			c.offset = (c.offset + n) % l.frame
		}
	}
	return nil
}

func (l *loader) close() {
	for _, c := range l.conns {
		if c != nil {
			_ = errors.Join(l.poller.Remove(c.fd), unix.Close(c.fd))
		}
	}
	_ = l.poller.Close()
}

// A cutter counts the frames in a stream. All must have bodies of one length:
// an error reply in between would be noticed by its own.
type cutter struct {
	want   uint32
	skip   int // bytes of a body still to come
	header [rpc.HeaderSize]byte
	have   int // bytes of a header that have come
}

// count takes the next chunk, cut anywhere, and returns how many frames end in
// it.
func (c *cutter) count(chunk []byte) (frames int, err error) {
	for len(chunk) > 0 {
		if c.skip > 0 {
			k := min(c.skip, len(chunk))
			chunk = chunk[k:]
			c.skip -= k
			if c.skip == 0 {
				frames++
			}
			continue
		}

		k := copy(c.header[c.have:], chunk)
		chunk = chunk[k:]
		c.have += k
		if c.have < rpc.HeaderSize {
			break
		}

		c.have = 0
		if length := binary.LittleEndian.Uint32(c.header[:]); length != c.want {
			return frames, fmt.Errorf("a reply of %d bytes, not %d: it says something else", length, c.want)
		}
		c.skip = int(c.want)
		if c.skip == 0 {
			frames++
		}
	}
	return frames, nil
}
