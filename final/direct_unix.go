// Sending a frame without waiting: where the kernel takes it at once, its
// caller need not wake the writer for it.

//go:build unix

package rpc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// A directWriter writes to a connection without ever waiting. It is not safe
// for concurrent use, and nobody else may write meanwhile.
type directWriter struct {
	raw  syscall.RawConn
	try  func(fd uintptr) bool // kept, because it would be allocated anew for each write
	data []byte
	n    int
}

// newDirectWriter returns one for a connection of package net.
func newDirectWriter(conn syscall.Conn) *directWriter {
	w := &directWriter{}
	w.raw, _ = conn.SyscallConn() // an error comes again with each use
	w.try = func(fd uintptr) bool {
		w.n, _ = unix.Write(int(fd), w.data)
		return true // whatever came of it: don't wait
	}
	return w
}

// write writes what the kernel takes now and returns how many bytes that was.
// An error counts as none: who writes the rest will see it, too.
func (w *directWriter) write(data []byte) int {
	if w.raw == nil {
		return 0
	}
	w.data, w.n = data, 0
	_ = w.raw.Write(w.try)
	w.data = nil
	return max(w.n, 0)
}
