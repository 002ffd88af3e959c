// The client of package rpc, which finds servers in etcd.

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	etcd "example.com/rpcworkbook/exercise-etcd"
	rpc "example.com/rpcworkbook/final"
)

const about = `client finds servers in etcd and calls ping and pi at them, one round of both
every half second, balanced over the servers. It prints a line per answer
and, at the end or at Ctrl-C, a summary:

  127.0.0.1:8080 pong ireader 93
  127.0.0.1:8080 pi_r 3.1382045832

Servers may come, go and crash meanwhile: a call that one of them fails moves to
another. Without any server the client ends; -wait has it wait for one.

Exit codes: 0 done or interrupted, 1 no live server or no list of them, 2 wrong usage.
`

func main() {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	calls := rpc.NewRoundsFlags(flags)
	store := etcd.NewFlags(flags)
	rpc.Teach(about)
	rpc.ParseArgs(flags, os.Args[1:])

	if err := run(calls.Rounds(), store); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// run makes the calls, until they are made or a signal ends it.
func run(rounds rpc.Rounds, store *etcd.Flags) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second one ends the program, even if nobody reads what it prints
	discovery := etcd.NewDiscovery(store.Config(), *store.Root, *store.Session)
	client := rpc.NewClient(discovery)
	defer client.Close()

	err := rounds.Run(ctx, client)
	if !errors.Is(err, rpc.ErrNoServer) && !errors.Is(err, rpc.ErrNoList) {
		return err
	}
	err = fmt.Errorf("%w under %s in etcd at %s", err, *store.Root, *store.Endpoints)
	if why := discovery.Err(); why != nil {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return err
}
