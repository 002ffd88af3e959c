// The command list: what a client knows of the servers, as it changes.

package rpc

import (
	"context"
	"flag"
	"fmt"
	"os/signal"
	"syscall"
)

// RunList is the command list. It prints a line for the set of servers that
// ZooKeeper has, and another whenever that changes, until a signal ends it.
func RunList(flags *flag.FlagSet, args []string) error {
	zookeeper := NewZKFlags(flags)
	ParseArgs(flags, args)
	discovery := NewZKDiscovery(zookeeper.Open(), *zookeeper.Root)

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second signal ends the program, even if nobody reads what it prints
	discovery.Watch(ctx, func(s Snapshot) { fmt.Println(listLine(s)) })
	return nil
}

// listLine returns a snapshot as a line: whether it is fresh or stale, how many
// servers there are, and their addresses.
func listLine(s Snapshot) string {
	line := fmt.Sprint("fresh ", len(s.Servers))
	if s.Stale {
		line = fmt.Sprint("stale ", len(s.Servers))
	}
	for _, addr := range s.Servers {
		line += " " + addr
	}
	return line
}
