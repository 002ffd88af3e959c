// A small program with tests that miss some things.
package main

import (
	"fmt"
	"os"
	"os/exec"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println(Sum(2, 3))
		return
	}

	worker := exec.Command(os.Args[0], "worker") // it inherits the environment
	worker.Stdout = os.Stdout
	if err := worker.Run(); err != nil {
		os.Exit(1)
	}
}
