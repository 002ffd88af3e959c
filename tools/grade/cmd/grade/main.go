// Grade is what `make grade` runs. It exits 1 when it could not grade: that
// somebody's program is wrong is no reason.
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
	"syscall"
	"time"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/chapter"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/tools/grade"
)

func main() {
	grade.Inside()
	err := run(os.Args[1:])
	proc.End()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	c := grade.Class{Say: os.Stdout}
	flags := flag.NewFlagSet("grade", flag.ContinueOnError)
	flags.StringVar(&c.From, "from", "", "the `DIR` with the submissions, a directory each")
	flags.StringVar(&c.Out, "out", "", "the `DIR` for the grades")
	flags.BoolVar(&c.Earlier, "earlier", false, "ask for the chapters before it, too")
	flags.IntVar(&c.Jobs, "jobs", runtime.NumCPU(), "how many submissions are asked at a time")
	flags.DurationVar(&c.Limit, "limit", 5*time.Minute, "how long a submission may take")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}

	c.Step = flags.Arg(0)
	c.Root, err = carry.FindRoot()
	if err != nil {
		return err
	}
	c.Weights = filepath.Join(c.Root, "tools", "grade", "weights.txt")
	c.Book, err = chapter.Open(c.Root, carry.Workbook(), io.Discard)
	if err != nil {
		return err
	}
	_, err = c.Book.Chapter("grade", c.Step)
	if err != nil {
		return err
	}
	if c.From == "" || c.Out == "" {
		return errors.New("FROM is to be the directory with the submissions, and OUT that for the grades, " +
			"as in `make grade STEP=3 FROM=../submissions OUT=grades`")
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	_, err = c.Grade(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; the same command goes on where this was")
	case err != nil:
		return err
	}
	fmt.Printf("grades are in %s, and what a student is to read in %s\n",
		filepath.Join(c.Out, "grades.csv"), filepath.Join(c.Out, "NAME", "report.html"))
	return nil
}
