// An etcd to play with by hand: on 127.0.0.1:2379, in the foreground, with
// empty data that go when it ends.

//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"

	"example.com/rpcworkbook/exercise-etcd/internal/etcddev"
	rpc "example.com/rpcworkbook/final"
)

func main() {
	const addr = "127.0.0.1:2379"
	rpc.ParseArgs(flag.NewFlagSet("etcd", flag.ExitOnError), os.Args[1:])
	err := etcddev.Foreground(addr, func() { fmt.Printf("etcd serves at %s, until Ctrl-C\n", addr) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
}
