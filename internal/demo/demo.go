//go:build unix

// Package demo is the demo: the whole system on this machine, watched by a
// client that makes calls all the time while servers come, go and crash.
// script.go tells what happens, cast.go has the processes, traffic.go the
// calls, list.go the client's list of servers; screen.go, meters.go and
// scoreboard.go show it all. registry.go is what a command adds to it.
package demo

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/proc"
)

const about = `demo shows the whole system at work, in about 20 seconds: %s of its own,
two servers of two workers each, and a client that calls them all the time.
Servers join, are stopped and started again, and lose first a worker and then
the master to SIGKILL. In the end a table says what happened when, and how long
it took to reach the client. Nothing is left running, also after Ctrl-C.

Colours are for terminals only; NO_COLOR=1 turns them off.

Exit codes: 0 every call was answered and nothing was left behind, 1 otherwise
or interrupted, 2 wrong usage.
`

// Main is the demo command, which it ends if all doesn't go well. Call it from
// main, last. It reads the command line and deals with signals itself.
func Main(r Registry) {
	rpc.Teach(fmt.Sprintf(about, r.One))
	rpc.ParseArgs(flag.NewFlagSet("demo", flag.ExitOnError), os.Args[1:])
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what the client logs is not for this screen

	ctx, stop := signal.NotifyContext(context.Background(),
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE) // the last one: demo | head
	// A second Ctrl-C ends the demo at once, and the watchdog cleans up. Not so
	// SIGPIPE, which comes with each line that nobody reads.
	context.AfterFunc(ctx, stop)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	ok := run(ctx, r)
	proc.End()
	if !ok {
		os.Exit(1)
	}
}

// run plays the script, ends whatever runs then, and shows the score. It
// reports whether all went well.
func run(ctx context.Context, r Registry) (ok bool) {
	cast, err := newCast(ctx, r)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return false
	}

	screen := newScreen(os.Stdout)
	show, err := newShow(screen, cast)
	if err == nil {
		err = show.play(ctx)
	}
	if err != nil {
		screen.trouble(ctx, err, cast) // before the logs are gone
	}

	show.close()
	left := cast.clear()
	return show.score(left).print(screen) && err == nil
}
