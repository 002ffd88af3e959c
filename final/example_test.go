// What go doc shows in an editor: servers and clients that run.

//go:build unix

package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	rpc "example.com/rpcworkbook/final"
)

// A server with a method of its own, and a client that calls it, in one process
// and without ZooKeeper.
func Example() {
	service := rpc.NewService()
	service["upper"] = rpc.Handle(func(_ context.Context, text string) (string, error) {
		return strings.ToUpper(text), nil
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- rpc.ServeListener(ctx, listener, rpc.Config{Service: service, Grace: 5 * time.Second})
	}()

	client := rpc.NewClient(rpc.Static{listener.Addr().String()})
	reply, _, err := client.Call(ctx, "upper", "hello")
	fmt.Println(string(reply.Result), err)
	reply, _, _ = client.Call(ctx, "upper", 7)
	fmt.Println(reply.Kind, string(reply.Result))
	client.Close()

	stop()
	fmt.Println(<-ended)
	// Output:
	// "HELLO" <nil>
	// error "upper: params must be a string, not a JSON number"
	// <nil>
}

// Params and results are whatever encoding/json makes of their types.
func ExampleHandle() {
	type order struct {
		Dish string `json:"dish"`
		N    int    `json:"n"`
	}
	type bill struct {
		Cents int `json:"cents"`
	}
	service := rpc.Service{"order": rpc.Handle(func(_ context.Context, o order) (bill, error) {
		if o.N < 1 {
			return bill{}, errors.New("for nobody?")
		}
		return bill{Cents: 950 * o.N}, nil
	})}

	for _, params := range []string{`{"dish":"soup","n":2}`, `{"dish":"soup"}`, `{"n":"two"}`, `null`} {
		reply := service.Call(rpc.Request{Method: "order", Params: []byte(params)})
		fmt.Println(reply.Kind, string(reply.Result))
	}
	// Output:
	// order_r {"cents":1900}
	// error "order: for nobody?"
	// error "order: \"n\" in params must be a whole number, not a JSON string"
	// error "order: params must be an object, not null"
}

// The whole main of a server with two worker processes. It can't run here: it
// would start the tests again.
func ExampleServe() {
	rpc.DetachOutput()
	err := rpc.Serve(rpc.Config{
		Host: "127.0.0.1", Port: "8080", Workers: 2, Grace: 5 * time.Second,
		Service: rpc.NewService(),
	})
	if err != nil {
		fmt.Fprintln(rpc.Stderr, "server:", err)
		rpc.Exit(1)
	}
	rpc.Exit(0)
}
