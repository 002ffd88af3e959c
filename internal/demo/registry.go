// The registry: what the demo must be told about the one in which the servers
// register. All else that happens is the same, whichever it is.

//go:build unix

package demo

import (
	"context"
	"time"

	rpc "example.com/rpcworkbook/final"
)

// A Registry is a kind of registry, and how to run one. All fields must be set.
type Registry struct {
	Name    string        // "ZooKeeper"
	One     string        // the same with its article: "a ZooKeeper"
	Entry   string        // what a registered server has in it: "znode"
	Lease   string        // what times out when a server is dead, and its entry goes: "session"
	Timeout time.Duration // of that, for a server that isn't told any other

	// Program returns the path of the server's program. It is called once,
	// before anything is shown, and must return when ctx ends.
	Program func(ctx context.Context) (path string, err error)
	// Start starts a registry and returns when it serves. It is called once at
	// most, and must return when ctx ends, with an error and nothing running
	// then.
	Start func(ctx context.Context) (Running, error)
}

// Running is a registry that has been started: a process that dies with the
// demo, however that dies. All its methods are called by one goroutine.
type Running interface {
	Addr() string // "host:port"
	PID() int     // which is also the number of its process group, where nothing else is
	// ServerArgs returns the flags with which a server registers there.
	ServerArgs() []string
	// Discovery returns the list for a client. It is called once, and ends
	// with the client.
	Discovery() (rpc.Discovery, error)
	// Stop ends the process and returns when it is gone.
	Stop() error
}
