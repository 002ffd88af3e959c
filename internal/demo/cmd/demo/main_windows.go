// The event loop is built on Unix system calls.

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this program needs Linux or another Unix; on Windows, run it in WSL")
	os.Exit(2)
}
