// Reading and writing without a word to Go's scheduler. Before a system call it
// is usually told that this thread may be away for long. After 20 µs or more it
// then takes the thread's right to run Go code away, and the thread has to get
// it back when it returns. The loop's reads and writes never wait and need none
// of that, which costs about a tenth of the processor time of a call.

package rpc

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow is unix.Read for a descriptor that doesn't block.
func readNow(fd int, p []byte) (n int, err error) {
	return now(unix.SYS_READ, fd, p)
}

// writeNow is unix.Write for a descriptor that doesn't block.
func writeNow(fd int, p []byte) (n int, err error) {
	return now(unix.SYS_WRITE, fd, p)
}

// now makes a system call that reads into p, or writes what is in p.
func now(call uintptr, fd int, p []byte) (n int, err error) {
	done, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return -1, errno
	}
	return int(done), nil
}
