//go:build linux

// Bench compares the server and the client with what people would use instead,
// in a few minutes. It is what `make bench` runs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/tools/bench"
	"example.com/rpcworkbook/tools/plot"
)

const about = `bench compares the server and the client with what people would use instead.

Every server is a process of its own, started afresh for each measurement. In
each round all of them meet each load, in an order that changes; ratios are
taken within a round, and the tables give their medians and spreads. The loads:
C1 is one connection with one call at a time, C2 64 × 1, C3 8 with 64 calls
outstanding on each, C4 1000 × 1.
`

func main() {
	bench.Rival(os.Args[1:])
	beside := "server"
	if exe, err := os.Executable(); err == nil {
		beside = filepath.Join(filepath.Dir(exe), "server")
	}

	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	server := flags.String("server", beside, "the `program` of our server")
	rounds := flags.Int("rounds", 7, "how often everything is measured")
	window := flags.Duration("window", 700*time.Millisecond, "how long each time")
	only := flags.String("only", "",
		"the `parts` to measure, as in C2,memory: "+strings.Join(bench.Parts(), ", ")+"; empty: all")
	rivals := flags.String("rivals", "",
		"more servers that speak our frames, as `commands` with semicolons between: name=command {host} {port}")
	svg := flags.String("svg", "", "the `directory` to write plots to; empty: none")
	rpc.Teach(about)
	rpc.ParseArgs(flags, os.Args[1:])

	config := bench.Config{Server: *server, Rounds: *rounds, Window: *window, Log: os.Stderr}
	if *only != "" {
		config.Only = strings.Split(*only, ",")
	}
	for _, part := range config.Only {
		if !slices.Contains(bench.Parts(), part) {
			rpc.UsageError(flags, "-only: there is no part %q", part)
		}
	}
	commands, err := bench.ParseCommands(*rivals)
	if err != nil {
		rpc.UsageError(flags, "-rivals: %v", err)
	}
	config.Rivals = commands
	if *rounds < 1 || *window < time.Millisecond {
		rpc.UsageError(flags, "-rounds must be at least 1 and -window 1ms")
	}
	if _, err := os.Stat(*server); err != nil {
		rpc.UsageError(flags, "-server: %v", err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	began := time.Now()
	report, err := bench.Run(ctx, config)
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "\nbench: interrupted")
		os.Exit(130)
	}
	if err == nil && *svg != "" {
		err = plot.WriteFiles(*svg, report.Plots())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}

	fmt.Printf("%s; %d rounds of %v, %.0f s in all\n", machine(), *rounds, *window, time.Since(began).Seconds())
	for _, table := range report.Tables() {
		fmt.Printf("\n%v", table)
	}
	fmt.Printf("\nOther processes took more than %.0f %% of the machine in %d of %d samples.\n",
		100*bench.MaxOthers, report.Disturbed, report.Samples)
	for _, note := range report.Notes {
		fmt.Printf("\n%s\n", note)
	}
}

// machine says where it was measured.
func machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d x %s, Linux %s, %s",
		runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version())
}
