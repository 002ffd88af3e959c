// Benchmarks of the loop on both pollers: what a call costs on one connection,
// alone and pipelined, and what a thousand idle connections add to it. Run them
// with go test -run '^$' -bench . -benchmem ./step2-asyncserver

//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// One operation is one call of ping.
func BenchmarkServer(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(pollers)) {
		for _, idle := range []int{0, 1000} {
			for _, depth := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s, %d idle, %d at once", name, idle, depth), func(b *testing.B) {
					p, err := pollers[name]()
					require.NoError(b, err)
					s := newServing(b, p)
					service := NewService()
					s.server.handler = func(c *Conn, body []byte) { c.Reply(service.Answer(body)) }
					s.start()
					for range idle {
						dialBare(b, s.addr)
					}
					s.wantConns(idle)
					callInBatches(b, dialBare(b, s.addr), depth)
				})
			}
		}
	}
}

// callInBatches sends depth pings in one write and takes their replies, until
// b.N calls are made.
func callInBatches(b *testing.B, conn net.Conn, depth int) {
	b.ReportAllocs()
	requests := bytes.Repeat(harness.Frame(harness.Request("ping", "hello")), depth)
	replies := bytes.Repeat(harness.Frame(`{"out":"pong","result":"hello"}`), depth)
	got := make([]byte, len(replies))
	b.ResetTimer()

	for done := 0; done < b.N; done += depth {
		if _, err := conn.Write(requests); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			b.Fatal(err)
		}
	}

	require.Equal(b, string(replies), string(got))
}

// dialBare connects without anything of the harness's around it.
func dialBare(b *testing.B, addr string) net.Conn {
	conn, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	return conn
}
