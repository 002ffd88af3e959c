// The server of package rpc, registered in etcd.

//go:build unix

package main

import (
	"flag"
	"net"
	"os"

	etcd "example.com/rpcworkbook/exercise-etcd"
	rpc "example.com/rpcworkbook/final"
)

const about = `server answers ping and pi at HOST PORT until it is told to end.

A master process keeps worker processes running, which share the listening
socket, and registers HOST and PORT in etcd while a worker serves. PORT 0 lets
the kernel choose. SIGTERM, SIGINT and SIGHUP end it: first the registration,
then, when clients had time to notice, the workers, who answer what has come in.
A second signal ends it at once.

  server 127.0.0.1 8080
  server -workers 4 -endpoints etcd1:2379,etcd2:2379 -advertise web7 0.0.0.0 8080
  ETCD_USER=alice:secret server -cacert ca.pem 127.0.0.1 8080

Exit codes: 0 told to end, 1 failed, 2 wrong usage, 3 no worker ever ready.
`

func main() {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	server := rpc.NewServerFlags(flags)
	store := etcd.NewFlags(flags)
	rpc.Teach(about)
	pos := rpc.ParseArgs(flags, os.Args[1:], "HOST", "PORT")

	config, host := server.Config(pos[0], pos[1])
	config.Service = rpc.NewService()

	client := store.Config()
	config.Register = func(addr *net.TCPAddr) (rpc.Registration, error) {
		return etcd.NewRegistrar(client, *store.Root, *store.Session, rpc.Endpoint{Host: host, Port: addr.Port}), nil
	}
	rpc.Exit(server.Serve(config))
}
