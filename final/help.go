// Help that teaches: what a command is about, before its flags.

package rpc

import (
	"fmt"
	"os"
	"slices"
)

// Teach prints what a command is about, if its command line asks for help.
// Call it before ParseArgs, which prints the flags then.
func Teach(about string) {
	asksHelp := func(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }
	if slices.ContainsFunc(os.Args[1:], asksHelp) {
		fmt.Fprintln(os.Stderr, about)
	}
}
