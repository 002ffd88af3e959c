// A server that stays up and goes down in good order: the master replaces
// workers that die, and ends them when it is told to end.

//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"
)

func main() {
	isWorker := IsWorker()
	DetachOutput()

	flags := flag.NewFlagSet("step4-signals", flag.ExitOnError)
	verbose := flags.Bool("v", false, "log every call")
	workers := flags.Int("workers", DefaultWorkers(), "number of worker processes")
	grace := flags.Duration("grace", 5*time.Second, "time for workers to finish what they have when told to end")
	pos := ParseArgs(flags, os.Args[1:], "HOST", "PORT")
	if *workers < 1 {
		UsageError(flags, "-workers must be at least 1, not %d", *workers)
	}
	if *grace < 0 {
		UsageError(flags, "-grace must not be negative: %v", *grace)
	}

	var err error
	if isWorker {
		err = Work(NewService(), *verbose, *grace)
	} else {
		err = master(pos[0], pos[1], *workers, *grace)
	}

	if err != nil {
		fmt.Fprintln(Stderr, "step4-signals:", err)
		if errors.Is(err, ErrNeverReady) {
			Exit(3)
		}
		Exit(1)
	}
	Exit(0)
}

// master keeps the workers alive until it is told to end.
func master(host, port string, workers int, grace time.Duration) error {
	stop := StopSignals(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // before anything is started
	listener, addr, err := Listen(host, port)
	if err != nil {
		return err
	}
	fmt.Fprintln(Stdout, "listening on", addr)

	s := Supervisor{
		Workers: workers,
		Grace:   grace,
		OnStart: func(pids []int) {
			fmt.Fprintf(Stdout, "master %d, workers %s\n", os.Getpid(), strings.Trim(fmt.Sprint(pids), "[]"))
		},
		OnServing: func(serving bool) { slog.Info("server state", "serving", serving) },
		OnStop:    func(context.Context) { slog.Info("stopping") },
	}
	return s.Run(listener, stop)
}
