//go:build linux

// Discovery measures how fast servers and clients learn of each other, and
// prints tables. It is what `make bench-discovery` runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/tools/discovery"
	"example.com/rpcworkbook/tools/plot"
)

const about = `discovery measures, with a ZooKeeper of its own, how fast servers and clients come
to know of each other, and what that costs: in half a minute. It prints tables
in Markdown. The server's program must lie beside this one. Nothing is left
running, also after Ctrl-C.

Exit codes: 0 measured, whether or not a target was met, 1 failed or
interrupted, 2 wrong usage.
`

func main() {
	flags := flag.NewFlagSet("discovery", flag.ExitOnError)
	rounds := flags.Int("rounds", 10, "how often each thing is measured")
	svg := flags.String("svg", "", "the `directory` to write the plot to, as watch-delay.svg; none if empty")
	rpc.Teach(about)
	rpc.ParseArgs(flags, os.Args[1:])
	if *rounds < 1 {
		rpc.UsageError(flags, "-rounds must be at least 1, not %d", *rounds)
	}

	slog.SetDefault(slog.New(slog.DiscardHandler)) // the clients' log
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends us at once: what we started goes with us

	err := run(ctx, *rounds, *svg)
	proc.End()
	if err != nil {
		fmt.Fprintln(os.Stderr, "discovery:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, svg string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the server's program: %w", err)
	}
	server := filepath.Join(filepath.Dir(self), "server")
	if _, err := os.Stat(server); err != nil {
		return errors.New("no program named server beside this one: type make bench-discovery, which builds both")
	}

	began := time.Now()
	report, err := discovery.Measure(ctx, discovery.Options{
		Server: server, Rounds: rounds, Clients: 50, Servers: 1000, Watchers: []int{1, 10, 50, 100, 200},
		Progress: func(what string) { fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(began).Seconds(), what) },
	})
	if err != nil {
		return err
	}

	fmt.Printf("%d processors, %s/%s, %s, %d rounds, %.0f s\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), rounds, time.Since(began).Seconds())
	for _, table := range report.Tables() {
		fmt.Printf("\n%v", table)
	}

	if svg == "" {
		return nil
	}
	return plot.WriteFiles(svg, map[string]plot.Plot{"watch-delay.svg": report.DelayPlot()})
}
