// Two rivals that are event loops, too: the least that one can do with epoll,
// and gnet, a library for servers of that kind. Each has as many loops as our
// server has workers in the comparison, in one process.

//go:build linux

package bench

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	rpc "example.com/rpcworkbook/final"
)

// loopCount is how many loops serve: our server has as many workers.
const loopCount = 2

// chunkSize is what our server and gnet read at once from a connection.
const chunkSize = 16 << 10

// serveBareEpoll hands each connection that comes in to the next of some epoll
// loops. It returns when it can't accept any more.
func serveBareEpoll(ln net.Listener) error {
	var loops [loopCount]int
	for i := range loops {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return fmt.Errorf("make an epoll: %w", err)
		}
		loops[i] = fd
		go echoLoop(fd)
	}

	for i := 0; ; i++ {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		fd, err := detach(conn.(*net.TCPConn))
		if err != nil {
			return err
		}

		event := unix.EpollEvent{Fd: int32(fd), Events: unix.EPOLLIN}
		err = unix.EpollCtl(loops[i%len(loops)], unix.EPOLL_CTL_ADD, fd, &event)
		if err != nil {
			return fmt.Errorf("watch a connection: %w", err)
		}
	}
}

// detach takes a connection away from Go's own poller, and returns its
// descriptor.
func detach(conn *net.TCPConn) (fd int, err error) {
	defer conn.Close()
	c, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}

	var dupErr error
	err = c.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

// echoLoop writes back whatever comes in at the connections of an epoll, on a
// thread of its own. What the kernel doesn't take at once is lost: a client
// that waits for its replies never has that much outstanding.
func echoLoop(epoll int) {
	runtime.LockOSThread()
	events, chunk := make([]unix.EpollEvent, 256), make([]byte, chunkSize)

	for {
		n, _ := unix.EpollWait(epoll, events, -1)
		for _, event := range events[:max(n, 0)] {
			fd := int(event.Fd)
			n, _ := unix.Read(fd, chunk)
			if n <= 0 {
				_ = unix.Close(fd)
				continue
			}
			_, _ = unix.Write(fd, chunk[:n])
		}
	}
}

// serveGnet serves with gnet at a free port, and calls listening with the
// address. It returns an error when gnet can't go on.
func serveGnet(listening func(net.Addr)) error {
	server := &gnetServer{service: rpc.NewService(), listening: listening}
	return gnet.Run(server, "tcp://127.0.0.1:0", gnet.WithNumEventLoop(loopCount),
		gnet.WithReadBufferCap(chunkSize), gnet.WithTCPNoDelay(gnet.TCPNoDelay))
}

// gnetServer is what gnet calls. A connection's Context is its Decoder.
type gnetServer struct {
	gnet.BuiltinEventEngine
	service   rpc.Service
	listening func(net.Addr)
}

// OnBoot is called when gnet listens.
func (s *gnetServer) OnBoot(engine gnet.Engine) gnet.Action {
	fd, err := engine.Dup()
	if err != nil {
		return gnet.Shutdown
	}
	defer unix.Close(fd)
	name, err := unix.Getsockname(fd)
	if err != nil {
		return gnet.Shutdown
	}

	addr := name.(*unix.SockaddrInet4)
	s.listening(&net.TCPAddr{IP: addr.Addr[:], Port: addr.Port})
	return gnet.None
}

// OnOpen is called for a new connection.
func (s *gnetServer) OnOpen(c gnet.Conn) (out []byte, action gnet.Action) {
	c.SetContext(&gnetConn{decoder: rpc.NewDecoder(rpc.MaxRequest)})
	return nil, gnet.None
}

type gnetConn struct {
	decoder *rpc.Decoder
	out     []byte
}

// OnTraffic is called when bytes have come in. All that they complete is
// answered in one write.
func (s *gnetServer) OnTraffic(c gnet.Conn) gnet.Action {
	conn := c.Context().(*gnetConn)
	chunk, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}

	conn.decoder.Feed(chunk)
	conn.out = appendReplies(conn.out[:0], conn.decoder, s.service)
	_, err = c.Write(conn.out)
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}
