// Look says what is to be mended in how the workbook's Go code looks. It is
// what `make check` runs. With arguments, which are relative to the
// workbook's root, it looks at those files and directories only.
package main

import (
	"fmt"
	"os"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/tools/look"
)

func main() {
	clean, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "look:", err)
	}
	if err != nil || !clean {
		os.Exit(1)
	}
}

func run(paths []string) (clean bool, err error) {
	root, err := carry.FindRoot()
	if err != nil {
		return false, err
	}

	problems, err := look.Tree(root, paths...)
	for _, problem := range problems {
		fmt.Println(problem)
	}
	return len(problems) == 0, err
}
