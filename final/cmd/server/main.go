// The server: a master that registers in ZooKeeper, and workers that answer
// ping and pi.

//go:build unix

package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	rpc "example.com/rpcworkbook/final"
)

const about = `server answers ping and pi at HOST PORT until it is told to end.

A master process keeps worker processes running, which share the listening
socket, and registers HOST and PORT in ZooKeeper while a worker serves. PORT 0
lets the kernel choose. SIGTERM, SIGINT and SIGHUP end it: first the
registration, then, when clients had time to notice, the workers, who answer
what has come in. A second signal ends it at once.

  server 127.0.0.1 8080
  server -workers 4 -zk zk1:2181,zk2:2181 -advertise web7 0.0.0.0 8080

With credentials for ZooKeeper, the same for all servers of a root, what it
creates there is closed to strangers: they can look, and nothing else.

  ZK_AUTH=alice:secret server -root /rpc/demo 127.0.0.1 8080

Exit codes: 0 told to end, 1 failed, 2 wrong usage, 3 no worker ever ready.
`

// minFrame is the least that -max-frame may be: with less, a server could
// hardly be called.
const minFrame = 1024

func main() {
	flags := flag.NewFlagSet("server", flag.ExitOnError)
	verbose := flags.Bool("v", false, "log every call")
	workers := flags.Int("workers", runtime.NumCPU(), "number of worker processes")
	grace := flags.Duration("grace", 5*time.Second, "time for workers to finish what they have when told to end")
	idle := flags.Duration("idle-timeout", 5*time.Minute, "how long a connection may stay without a request; 0: for ever")
	frame := flags.Duration("frame-timeout", 10*time.Second, "how long a request may take to come in whole; 0: for ever")
	maxConns := flags.Int("max-conns", 10_000, "connections per worker; 0: no limit")
	maxFrame := flags.Int("max-frame", rpc.MaxRequest, fmt.Sprintf("the longest request accepted, in `bytes`: from %d to %d, the protocol's limit", minFrame, rpc.MaxRequest))
	advertise := flags.String("advertise", "", "the `host` to register, if clients reach this server by another than HOST")
	zookeeper := rpc.NewZKFlags(flags)
	rpc.Teach(about)
	pos := rpc.ParseArgs(flags, os.Args[1:], "HOST", "PORT")
	switch {
	case *workers < 1:
		rpc.UsageError(flags, "-workers must be at least 1, not %d", *workers)
	case *grace < 0 || *idle < 0 || *frame < 0:
		rpc.UsageError(flags, "-grace, -idle-timeout and -frame-timeout must not be negative")
	case *maxConns < 0:
		rpc.UsageError(flags, "-max-conns must not be negative: %d", *maxConns)
	case *maxFrame < minFrame || *maxFrame > rpc.MaxRequest:
		rpc.UsageError(flags, "-max-frame must be from %d to %d bytes, not %d", minFrame, rpc.MaxRequest, *maxFrame)
	}
	host, err := rpc.RegisterableHost(*advertise, pos[0])
	if err != nil {
		rpc.UsageError(flags, "%v", err)
	}
	err = rpc.Serve(rpc.Config{
		Host: pos[0], Port: pos[1],
		Workers: *workers,
		Grace:   *grace,
		Limits:  rpc.Limits{IdleTimeout: *idle, FrameTimeout: *frame, MaxConns: *maxConns, MaxFrame: *maxFrame},
		Verbose: *verbose,
		Service: rpc.NewService(),
		Tasks:   map[string]rpc.TaskMethod{"pi": rpc.PiTask},
		Register: func(addr *net.TCPAddr) (rpc.Registration, error) {
			return zookeeper.Register(rpc.Endpoint{Host: host, Port: addr.Port}), nil
		},
		OnStart: func(addr *net.TCPAddr, pids []int) {
			fmt.Printf("listening on %v\nmaster %d, workers %s\n", addr, os.Getpid(), strings.Trim(fmt.Sprint(pids), "[]"))
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		if errors.Is(err, rpc.ErrNeverReady) {
			os.Exit(3)
		}
		os.Exit(1)
	}
}
