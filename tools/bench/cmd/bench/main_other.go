//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: it needs Linux: what the servers use is read from /proc and from their CPU clocks")
	os.Exit(1)
}
