// A server with a method of its own beside ping and pi: the beginning of
// yours. See the README of final.

//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"strings"

	rpc "example.com/rpcworkbook/final"
)

// upper answers with a text in capitals.
func upper(_ context.Context, text string) (string, error) {
	if text == "" {
		return "", errors.New("params must not be empty")
	}
	return strings.ToUpper(text), nil
}

func main() {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	server := rpc.NewServerFlags(flags)
	zookeeper := rpc.NewZKFlags(flags)
	pos := rpc.ParseArgs(flags, os.Args[1:], "HOST", "PORT")

	config, host := server.Config(pos[0], pos[1])
	config.Service = rpc.NewService() // ping and pi
	config.Service["upper"] = rpc.Handle(upper)
	config.Register = func(addr *net.TCPAddr) (rpc.Registration, error) {
		return zookeeper.Register(rpc.Endpoint{Host: host, Port: addr.Port}), nil
	}
	rpc.Exit(server.Serve(config))
}
