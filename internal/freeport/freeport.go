// Package freeport reserves TCP ports on 127.0.0.1 for programs that must be
// told their port before they start, and that may be stopped and started again
// on it. Test processes that run side by side never get the same one: whoever
// has reserved a port of TCP holds the UDP port of the same number.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The range lies below the ports that kernels hand out as source ports (32768
// and up on Linux, 49152 and up on macOS): an outgoing connection can't take a
// reserved port while its program is down.
const (
	first = 20000
	last  = 32000
)

// Reserve picks a port between 20000 and 32000 that nobody listens on and keeps
// it for this process until release is called or the process ends, however it
// ends. Nothing is left listening on it. It does not block, fails only when no
// port is left, and is safe for concurrent use, as is release, which may be
// called more than once.
func Reserve() (port int, release func(), err error) {
	const size = last - first + 1
	// A random start keeps a port that was just given up, and that late callers
	// may still try, out of use for a while.
	start := rand.IntN(size)
	var cause error

	for i := range size {
		port := first + (start+i)%size
		release, err := lock(port)
		if err != nil {
			cause = err
			continue
		}
		if err := bindable(port); err != nil {
			cause = err
			release()
			continue
		}
		return port, release, nil
	}

	return 0, nil, fmt.Errorf("reserve a port between %d and %d: all are taken, the last one tried says: %w",
		first, last, cause)
}

// lock holds the port of that number of UDP, where nobody else's business is.
// The kernel gives it up with the process, and there is no file that could be
// left behind, or be another user's.
func lock(port int) (release func(), err error) {
	holder, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return nil, fmt.Errorf("hold the port: %w", err)
	}
	return sync.OnceFunc(func() { holder.Close() }), nil
}

// bindable tries the port. No child of ours may be born meanwhile: until its
// exec it would hold the socket, too, and the port with it, although we have
// closed ours.
func bindable(port int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)

	// As net does for a socket that is to listen.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("listen", unix.Listen(fd, 1))
}
