// Systems on which a program must not make system calls by itself.

//go:build unix && !linux

package rpc

import "golang.org/x/sys/unix"

// readNow is unix.Read for a descriptor that doesn't block. On Linux it is
// quicker.
func readNow(fd int, p []byte) (n int, err error) {
	return unix.Read(fd, p)
}

// writeNow is unix.Write for a descriptor that doesn't block. On Linux it is
// quicker.
func writeNow(fd int, p []byte) (n int, err error) {
	return unix.Write(fd, p)
}
