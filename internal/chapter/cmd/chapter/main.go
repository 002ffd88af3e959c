// Chapter is what `make begin`, `make try`, `make compare`, `make progress` and
// `make handout` run. It exits 1 when the program that it tries is red, and
// when something else went wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/chapter"
)

const usage = `usage: chapter begin STEP
       chapter try [-race] [-v] [-alone] [-watch] [-draw] [-only MILESTONE] STEP
       chapter compare STEP
       chapter progress
       chapter handout STEP DIR`

func main() {
	green, err := run(os.Args[1:])
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
	}
	if !green || err != nil {
		os.Exit(1)
	}
}

// run runs a command. Green is false if there is more for the reader to do.
func run(args []string) (green bool, err error) {
	if len(args) == 0 {
		return false, errors.New(usage)
	}

	command := args[0]
	var how chapter.How
	var watch bool
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what it has to say is in its error
	if command == "try" {
		flags.BoolVar(&how.Race, "race", false, "build with the race detector")
		flags.BoolVar(&how.Full, "v", false, "show all that happened in a milestone that is red")
		flags.BoolVar(&how.Alone, "alone", false, "leave out the chapters before")
		flags.BoolVar(&how.Draw, "draw", false, "draw pictures of all milestones, not only of those that fail")
		flags.BoolVar(&watch, "watch", false, "try again whenever a file is saved")
		flags.StringVar(&how.Only, "only", "", "try this milestone only")
	}

	if err := flags.Parse(args[1:]); err != nil {
		return false, fmt.Errorf("%w\n%s", err, usage)
	}

	root, err := carry.FindRoot()
	if err != nil {
		return false, err
	}
	book, err := chapter.Open(root, carry.Workbook(), os.Stdout)
	if err != nil {
		return false, err
	}
	if command == "progress" {
		return true, book.Progress()
	}

	c, err := book.Chapter(command, flags.Arg(0))
	if err != nil {
		return false, err
	}

	switch command {
	case "begin":
		return true, book.Begin(c)
	case "try":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		if watch {
			book.Watch(ctx, c, how)
			return true, nil
		}
		return book.Try(ctx, c, how)
	case "compare":
		warning, err := book.Unfinished(c)
		if err != nil {
			return false, err
		}
		if warning != "" {
			fmt.Fprintln(os.Stderr, warning)
		}
		return true, book.Compare(c, onTerminal())
	case "handout":
		return true, book.Handout(c, flags.Arg(1))
	}
	return false, errors.New(usage)
}

// onTerminal reports whether what is printed may have colours.
func onTerminal() bool {
	info, err := os.Stdout.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && wantsColors()
}

// wantsColors reports whether the reader's terminal can show them, and he lets
// it.
func wantsColors() bool {
	term := os.Getenv("TERM")
	return os.Getenv("NO_COLOR") == "" && term != "" && term != "dumb"
}
