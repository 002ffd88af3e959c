// Command lines: flags first, then a fixed number of arguments. Every program
// of the workbook reads its command line with ParseArgs, so that mistakes get
// the same answers everywhere.

package rpc

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ParseArgs parses args with flags, made with flag.ExitOnError, and returns
// the arguments after the flags, one for each name. It ends the program with
// exit code 2 and a message when the command line is wrong, and with 0 after
// -h. A HOST and PORT among the names are checked.
func ParseArgs(flags *flag.FlagSet, args []string, names ...string) []string {
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: %s [flags] %s\n", flags.Name(), strings.Join(names, " "))
		flags.PrintDefaults()
	}
	_ = flags.Parse(args) // ends the program itself
	rest := flags.Args()

	for i, arg := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if i > 0 && strings.HasPrefix(arg, "-") && flags.Lookup(name) != nil {
			UsageError(flags, "flag -%s must come before %s", name, strings.Join(names, " "))
		}
	}
	if len(rest) != len(names) {
		UsageError(flags, "need %d arguments (%s), got %d; flags come before them",
			len(names), strings.Join(names, " "), len(rest))
	}

	for i, name := range names {
		_, notPort := strconv.ParseUint(rest[i], 10, 16)
		switch {
		case name == "PORT" && notPort != nil:
			UsageError(flags, "PORT must be a number from 0 to 65535, not %q", rest[i])
		case name == "HOST" && strings.ContainsAny(rest[i], "[]/"):
			UsageError(flags, "HOST must be a name or an address without brackets, not %q", rest[i])
		}
	}
	return rest
}

// UsageError says what is wrong with the command line and where to look it up,
// and ends the program with exit code 2.
func UsageError(flags *flag.FlagSet, format string, args ...any) {
	fmt.Fprintf(flags.Output(), "%s: %s\nsee %[1]s -h\n", flags.Name(), fmt.Sprintf(format, args...))
	os.Exit(2)
}
