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
	var text string
	err = client.CallInto(ctx, "upper", "hello", &text)
	fmt.Println(text, err)
	err = client.CallInto(ctx, "upper", 7, &text)
	var answer *rpc.ReplyError
	if errors.As(err, &answer) {
		fmt.Println("the server says:", answer.Message)
	}
	client.Close()

	stop()
	fmt.Println(<-ended)
	// Output:
	// HELLO <nil>
	// the server says: upper: params must be a string, not a JSON number
	// <nil>
}

// A client that takes turns among its servers, for whom a silent one is silent
// sooner, and that may also call add twice.
func ExampleClientOptions() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	servers := rpc.Static{serve(ctx), serve(ctx)}

	client := rpc.NewClient(servers)
	defer client.Close()
	client.Silence = time.Second
	client.Idempotent = func(method string) bool { return method == "add" || rpc.Idempotent(method) }
	turn := 0
	client.Choose = func(servers []rpc.ServerStats) int {
		turn++
		return turn % len(servers)
	}

	for range 10 {
		_, _, err := client.Call(ctx, "ping", "hello")
		if err != nil {
			fmt.Println(err)
		}
	}
	for _, server := range client.Stats() {
		fmt.Println(server.Answered, "answered,", server.Failed, "failed")
	}
	// Output:
	// 5 answered, 0 failed
	// 5 answered, 0 failed
}

// serve starts a server, until ctx ends, and returns its address.
func serve(ctx context.Context) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		err := rpc.ServeListener(ctx, listener, rpc.Config{Service: rpc.NewService()})
		if err != nil {
			log.Fatal(err)
		}
	}()
	return listener.Addr().String()
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
