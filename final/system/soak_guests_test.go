// The guests of a soak: strangers who connect to a server and misbehave.

//go:build unix

package system

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

// invite returns the beginning of a fault: f.n guests at a server's own
// address, each of whom visits again and again until the end.
func invite(visit func(conn *net.TCPConn)) func(*soak, fault) func() {
	return func(s *soak, f fault) func() {
		ctx, cancel := context.WithCancel(context.Background())
		addr := s.servers[f.server].Addr
		var all sync.WaitGroup
		for range f.n {
			all.Go(func() {
				for ctx.Err() == nil {
					guest(ctx, addr, visit)
				}
			})
		}
		return func() {
			cancel()
			all.Wait()
		}
	}
}

// guest makes one visit, which ends with ctx at the latest, and a pause: the
// server may be down.
func guest(ctx context.Context, addr string, visit func(conn *net.TCPConn)) {
	dialer := net.Dialer{Timeout: time.Second}
	if conn, err := dialer.DialContext(ctx, "tcp", addr); err == nil {
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		visit(conn.(*net.TCPConn))
		stop()
		conn.Close()
	}
	select {
	case <-ctx.Done():
	case <-time.After(50 * ms):
	}
}

// readNothing sends calls until the connection ends, and leaves the replies
// where they are.
func readNothing(conn *net.TCPConn) {
	_ = conn.SetReadBuffer(4096)
	call := harness.Frame(harness.Request("ping", strings.Repeat("?", 60_000)))
	for {
		if _, err := conn.Write(call); err != nil {
			return
		}
	}
}

// sendHalf announces a request and sends a part of it.
func sendHalf(conn *net.TCPConn) {
	call := harness.Frame(harness.Request("ping", "a promise"))
	if _, err := conn.Write(call[:len(call)/2]); err == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}

// sendRubbish sends requests that are none, and announces one that is too long.
func sendRubbish(conn *net.TCPConn) {
	rubbish := harness.Frame("{")
	rubbish = append(rubbish, harness.Frame(`{"in":"pi","params":-1}`)...)
	rubbish = append(rubbish, harness.Frame(`{"in":"nothing","params":null}`)...)
	rubbish = append(rubbish, strings.Repeat("\xff", 20_000)...)
	if _, err := conn.Write(rubbish); err == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}

// flood sends calls as fast as the server takes them.
func flood(conn *net.TCPConn) {
	var all sync.WaitGroup
	all.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	defer all.Wait()
	defer conn.Close()

	var calls []byte
	for range 100 {
		calls = append(calls, harness.Frame(harness.Request("ping", "and another one"))...)
	}

	for {
		if _, err := conn.Write(calls); err != nil {
			return
		}
	}
}

// compute has more computed, at once, than anybody would wait for.
func compute(conn *net.TCPConn) {
	var calls []byte
	for range 100 {
		calls = append(calls, harness.Frame(harness.Request("pi", rpc.MaxPiTerms))...)
	}
	if _, err := conn.Write(calls); err == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}
