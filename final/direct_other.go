// Where descriptors are not Unix's, the writer sends everything.

//go:build !unix

package rpc

import "syscall"

type directWriter struct{}

func newDirectWriter(syscall.Conn) *directWriter { return &directWriter{} }

func (*directWriter) write([]byte) int { return 0 }
