// A client of the example's server: one call at a random one of those that are
// listed in ZooKeeper.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	rpc "example.com/rpcworkbook/final"
)

func main() {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	zookeeper := rpc.NewZKFlags(flags)
	pos := rpc.ParseArgs(flags, os.Args[1:], "TEXT")

	client := rpc.NewClient(rpc.NewZKDiscovery(zookeeper.Open(), *zookeeper.Root))
	client.Idempotent = func(method string) bool { return method == "upper" || rpc.Idempotent(method) }

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := client.Wait(ctx, 1)
	if err != nil {
		log.Fatal("no server is listed: ", err)
	}

	var text string
	err = client.CallInto(ctx, "upper", pos[0], &text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	client.Close()
}
