// Mutate is what `make mutate` runs. It exits 1 when it could not test the
// tests: that they don't notice something is no reason.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/chapter"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/tools/mutate"
)

func main() {
	err := run(os.Args[1:])
	proc.End()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	s := mutate.Subject{Say: os.Stdout, Tell: os.Stderr}
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	files := flags.String("files", "", "the `FILES` to break, in place of those that the chapter adds or revises")
	flags.IntVar(&s.Jobs, "jobs", runtime.NumCPU(), "how many mutants are tested at a time")
	flags.IntVar(&s.Sample, "sample", 0, "test so many mutants, spread evenly; 0: all")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}

	root, err := carry.FindRoot()
	if err != nil {
		return err
	}
	book, err := chapter.Open(root, carry.Workbook(), io.Discard)
	if err != nil {
		return err
	}
	c, err := book.Chapter("mutate", flags.Arg(0))
	if err != nil {
		return err
	}
	milestones, err := book.Milestones(c)
	if err != nil {
		return err
	}

	s.Dir = filepath.Join(root, c.Dir)
	s.Files, s.Results = slices.Concat(c.Write, c.Revise), filepath.Join(root, "bin", "mutants", c.Dir)
	if some := strings.Fields(*files); len(some) > 0 {
		s.Files = some
		s.Results += "-" + strings.Join(some, "-")
	}
	s.Results += ".json"

	s.Spec = fmt.Sprintf("TestSpec%d", c.Number)
	for _, m := range milestones {
		s.Milestones = append(s.Milestones, m.Number)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err = s.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; the same command goes on where this was")
	}
	return err
}
