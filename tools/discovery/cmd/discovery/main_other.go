//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "discovery: it needs Linux: what ZooKeeper uses is read from its CPU clock")
	os.Exit(1)
}
