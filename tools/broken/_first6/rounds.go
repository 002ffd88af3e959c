// The command client.

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func client(flags *flag.FlagSet, args []string) error {
	n := flags.Int("n", 100, "")
	interval := flags.Duration("interval", 500*time.Millisecond, "")
	wait := flags.Duration("wait", 0, "")
	timeout := flags.Duration("timeout", 5*time.Second, "")
	zookeeper := NewZKFlags(flags)
	ParseArgs(flags, args)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	c := NewClient(NewZKDiscovery(zookeeper.Open(), *zookeeper.Root))
	defer c.Close()

	waiting, stop := context.WithTimeout(ctx, max(*wait, 5*time.Second))
	defer stop()
	if c.Wait(waiting, 1) != nil {
		return ErrNoServer
	}

	began, failed, answered := time.Now(), 0, map[string]int{}
	call := func(method string, params any) {
		one, cancel := context.WithTimeout(ctx, *timeout)
		defer cancel()
		reply, server, err := c.Call(one, method, params)
		if err != nil {
			failed++
			text, _ := json.Marshal(params)
			fmt.Fprintf(os.Stderr, "%s %s failed: %v\n", method, text, err)
			return
		}
		answered[server]++
		var result any
		_ = json.Unmarshal(reply.Result, &result)
		if number, ok := result.(float64); ok {
			result = fmt.Sprintf("%.12g", number)
		}
		fmt.Println(server, reply.Kind, result)
	}
	for i := 0; i < *n && ctx.Err() == nil; i++ {
		call("ping", fmt.Sprint("ireader ", i))
		call("pi", i)
		time.Sleep(*interval)
	}

	total := failed
	for _, n := range answered {
		total += n
	}
	fmt.Printf("calls %d, failed %d, in %.1fs\n", total, failed, time.Since(began).Seconds())
	for _, server := range slices.Sorted(maps.Keys(answered)) {
		fmt.Printf("  %s  %d\n", server, answered[server])
	}
	return nil
}
