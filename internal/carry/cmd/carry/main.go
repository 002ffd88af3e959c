// Carry copies every file from the step that introduces it into the later
// ones, or shows how much code each chapter has. It is what `make carry` and
// `make budget` run.
package main

import (
	"flag"
	"fmt"
	"os"

	"example.com/rpcworkbook/internal/carry"
)

func main() {
	budget := flag.Bool("budget", false, "print how much code each chapter has, and copy nothing")
	flag.Parse()
	if err := run(*budget); err != nil {
		fmt.Fprintln(os.Stderr, "carry:", err)
		os.Exit(1)
	}
}

func run(budget bool) error {
	root, err := carry.FindRoot()
	if err != nil {
		return err
	}
	tree, err := carry.Load(root, carry.Workbook())
	if err != nil {
		return err
	}

	if budget {
		return tree.WriteBudget(os.Stdout)
	}

	written, err := tree.Carry()
	for _, path := range written {
		fmt.Println("wrote", path)
	}
	return err
}
