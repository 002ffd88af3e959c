// A client of the example's server: one call at a random one of those that are
// listed in ZooKeeper.
package main

import (
	"context"
	"encoding/json"
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
	client.Idempotent = func(method string) bool { return true } // upper may run twice, too

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := client.Wait(ctx, 1); err != nil {
		log.Fatal("no server is listed: ", err)
	}
	reply, server, err := client.Call(ctx, "upper", pos[0])
	if err != nil {
		log.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(reply.Result, &text); err != nil {
		log.Fatal(err)
	}
	fmt.Println(server, text)
	client.Close()
}
