// The rivals: what people would write instead of this server, most of them with
// the standard library and a goroutine per connection. Each serves until its
// process ends.

//go:build linux

package bench

import (
	"context"
	"fmt"
	"net"
	netrpc "net/rpc"
	"net/rpc/jsonrpc"

	rpc "example.com/rpcworkbook/final"
)

// rivals are the functions that serve one connection.
var rivals = map[string]func(net.Conn){
	raw:       echo,
	goroutine: answer,
	gob:       func(conn net.Conn) { stdlibServer.ServeConn(conn) },
	jsonRPC:   func(conn net.Conn) { stdlibServer.ServeCodec(jsonrpc.NewServerCodec(conn)) },
}

var stdlibServer = netRPC()

// readSize is what a connection reads at once, bufio's usual size: more would
// only cost memory, as 64 requests fit in.
const readSize = 4096

// serveRival serves as that rival on a free port of 127.0.0.1, and calls
// listening with the address. It returns when it can't accept any more.
func serveRival(name string, listening func(net.Addr)) error {
	if name == gnetLoops {
		return serveGnet(listening)
	}
	serve, ok := rivals[name]
	if !ok && name != bareEpoll {
		return fmt.Errorf("there is no server %q", name)
	}

	var config net.ListenConfig
	config.SetMultipathTCP(false) // plain TCP, like ours
	ln, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}

	listening(ln.Addr())
	if name == bareEpoll {
		return serveBareEpoll(ln)
	}

	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go serve(conn)
	}
}

// echo writes back whatever comes.
func echo(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, readSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answer speaks our protocol. What one read brought is answered in one write.
func answer(conn net.Conn) {
	defer conn.Close()
	service, decoder := rpc.NewService(), rpc.NewDecoder(rpc.MaxRequest)
	buf, out := make([]byte, readSize), []byte(nil)

	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}

		decoder.Feed(buf[:n])
		out = appendReplies(out[:0], decoder, service)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// appendReplies appends the frames of the replies to all requests that are
// whole by now, and returns the extended slice.
func appendReplies(out []byte, decoder *rpc.Decoder, service rpc.Service) []byte {
	for {
		body, ok := decoder.Next()
		if !ok {
			return out
		}
		out = rpc.AppendReply(out, service.Answer(body))
	}
}

// Service is ping for net/rpc.
type Service struct{}

// Ping echoes its params.
func (Service) Ping(params string, result *string) error {
	*result = params
	return nil
}

func netRPC() *netrpc.Server {
	s := netrpc.NewServer()
	_ = s.Register(Service{}) // it has a method, so this can't fail
	return s
}
