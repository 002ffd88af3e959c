// The client: it finds the servers in ZooKeeper and calls ping and pi, again
// and again, balanced over them. Answers go to standard output, all else to
// standard error.

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	rpc "example.com/rpcworkbook/final"
)

const about = `client finds servers in ZooKeeper and calls ping and pi at them, one round of
both every half second, balanced over the servers. It prints a line per
answer and, at the end or at Ctrl-C, a summary:

  127.0.0.1:8080 pong ireader 93
  127.0.0.1:8080 pi_r 3.1382045832

Servers may come, go and crash meanwhile: a call that one of them fails moves to
another. Without any server the client ends; -wait has it wait for one. It needs
credentials for ZooKeeper only where not everyone may read the list.

Exit codes: 0 done or interrupted, 1 no live server or no list of them, 2 wrong usage.
`

func main() {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	calls := rpc.NewRoundsFlags(flags)
	zookeeper := rpc.NewZKFlags(flags)
	rpc.Teach(about)
	rpc.ParseArgs(flags, os.Args[1:])

	if err := run(calls.Rounds(), zookeeper); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

// run makes the calls, until they are made or a signal ends it.
func run(rounds rpc.Rounds, zookeeper rpc.ZKFlags) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second one ends the program, even if nobody reads what it prints
	discovery := rpc.NewZKDiscovery(zookeeper.Open(), *zookeeper.Root)
	client := rpc.NewClient(discovery)
	defer client.Close()

	err := rounds.Run(ctx, client)
	if !errors.Is(err, rpc.ErrNoServer) && !errors.Is(err, rpc.ErrNoList) {
		return err
	}
	err = fmt.Errorf("%w under %s in ZooKeeper at %s", err, *zookeeper.Root, *zookeeper.Hosts)
	if why := discovery.Err(); why != nil {
		err = fmt.Errorf("%w: %w", err, zookeeper.Explain(why))
	}
	return err
}
