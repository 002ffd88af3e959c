// Several processes on one listening socket: a master, and workers that are
// chapter 2's server each. This master starts its workers and leaves them
// alone: kill -9 one, and look for it with ps.

//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 10 * time.Second // for a new worker
	grace        = 5 * time.Second  // for a worker that is to end
)

func main() {
	isWorker := IsWorker()
	DetachOutput()

	flags := flag.NewFlagSet("step3-prefork", flag.ExitOnError)
	verbose := flags.Bool("v", false, "log every call")
	workers := flags.Int("workers", DefaultWorkers(), "number of worker processes")
	pos := ParseArgs(flags, os.Args[1:], "HOST", "PORT")
	if *workers < 1 {
		UsageError(flags, "-workers must be at least 1, not %d", *workers)
	}

	var err error
	if isWorker {
		err = Work(NewService(), *verbose, grace)
	} else {
		err = master(pos[0], pos[1], *workers)
	}

	if err != nil {
		fmt.Fprintln(Stderr, "step3-prefork:", err)
		Exit(1)
	}
	Exit(0)
}

// master starts the workers and waits for Ctrl-C.
func master(host, port string, workers int) error {
	stop := StopSignals(syscall.SIGINT, syscall.SIGTERM)
	listener, addr, err := Listen(host, port)
	if err != nil {
		return err
	}

	var started []*Worker
	for range workers {
		w, err := Spawn(listener)
		if err != nil {
			return err
		}
		started = append(started, w)
	}

	var pids strings.Builder
	for _, w := range started {
		if err := w.WaitReady(startTimeout); err != nil {
			return err
		}
		fmt.Fprintf(&pids, " %d", w.PID)
	}

	fmt.Fprintln(Stdout, "listening on", addr)
	fmt.Fprintf(Stdout, "master %d, workers%s\n", os.Getpid(), pids.String())

	<-stop                     // when this process ends, so do the lifelines,
	runtime.KeepAlive(started) // and no sooner: the garbage collector would close them
	return nil
}
