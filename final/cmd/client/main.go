// The client: it finds the servers in ZooKeeper and calls ping and pi, again
// and again, balanced over them. Answers go to standard output, all else to
// standard error. Two subcommands look at its parts: client call calls one
// server, and client list shows the servers that it finds.

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

  client call -n 1000 127.0.0.1 8080 ping '"hello"'   call one server, many times at once
  client list                                         show the servers found, and every change

Exit codes: 0 done or interrupted, 1 no live server or no list of them, 2 wrong usage.
`

func main() {
	subcommands := map[string]func(*flag.FlagSet, []string) error{"call": rpc.RunCall, "list": rpc.RunList}
	if len(os.Args) > 1 && subcommands[os.Args[1]] != nil {
		exit(subcommands[os.Args[1]](flag.NewFlagSet("client "+os.Args[1], flag.ExitOnError), os.Args[2:]))
	}

	flags := flag.NewFlagSet("client", flag.ExitOnError)
	calls := rpc.NewRoundsFlags(flags)
	zookeeper := rpc.NewZKFlags(flags)
	rpc.Teach(about)
	rpc.ParseArgs(flags, os.Args[1:])

	exit(run(calls.Rounds(), zookeeper))
}

// exit ends the program, and says why if that is an error.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
	os.Exit(0)
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
