// The command list.

package main

import (
	"context"
	"flag"
	"fmt"
	"os/signal"
	"syscall"
)

func RunList(flags *flag.FlagSet, args []string) error {
	zookeeper := NewZKFlags(flags)
	ParseArgs(flags, args)
	discovery := NewZKDiscovery(zookeeper.Open(), *zookeeper.Root)

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	discovery.Watch(ctx, func(s Snapshot) {
		line := fmt.Sprint("fresh ", len(s.Servers))
		for _, addr := range s.Servers {
			line += " " + addr
		}
		fmt.Println(line)
	})
	return nil
}
