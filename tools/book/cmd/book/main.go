// Book writes what the workbook's texts quote into them, from the files that
// they quote. It is what `make readme` runs.
package main

import (
	"fmt"
	"os"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/tools/book"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "book:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := carry.FindRoot()
	if err != nil {
		return err
	}

	written, problems, err := book.Fill(root)
	for _, path := range written {
		fmt.Println("wrote", path)
	}

	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, problem)
	}

	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%d problems with markers, whose fences stay as they are", len(problems))
	}
	return err
}
