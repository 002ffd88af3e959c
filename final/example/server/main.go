// A server with a method of its own beside ping and pi: the beginning of
// yours. See the README of final.

//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"net"
	"os"
	"strings"

	rpc "example.com/rpcworkbook/final"
)

// upper answers with its params, a text, in capitals.
func upper(params json.RawMessage) (rpc.Reply, error) {
	var text *string // a pointer, because null is no text: into a string it would pass as ""
	if err := json.Unmarshal(params, &text); err != nil || text == nil || *text == "" {
		return rpc.Reply{}, errors.New("params must be a string, not empty")
	}
	return rpc.NewReply("upper_r", strings.ToUpper(*text)), nil
}

func main() {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	server := rpc.NewServerFlags(flags)
	zookeeper := rpc.NewZKFlags(flags)
	pos := rpc.ParseArgs(flags, os.Args[1:], "HOST", "PORT")
	config, host := server.Config(pos[0], pos[1])
	config.Service = rpc.NewService() // ping and pi
	config.Service["upper"] = upper
	config.Tasks = map[string]rpc.TaskMethod{"pi": rpc.PiTask}
	config.Register = func(addr *net.TCPAddr) (rpc.Registration, error) {
		return zookeeper.Register(rpc.Endpoint{Host: host, Port: addr.Port}), nil
	}
	server.Serve(config)
}
