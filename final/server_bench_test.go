// Benchmarks of a worker as it runs in production, with limits and tasks, and
// of what the fast path gains beside step1's benchmark of the same name. Run
// them with go test -run '^$' -bench . -benchmem ./final

//go:build unix

package rpc

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// One operation is one request body turned into one reply body.
func BenchmarkAnswer(b *testing.B) {
	for _, bench := range []struct{ name, body string }{
		{"ping", `{"in":"ping","params":"hello"}`},
		{"ping from Python", `{"in": "ping", "params": "ireader 0"}`},
		{"ping of an object", `{"in":"ping","params":{"a":[1,2,3],"b":null}}`},
		{"pi of 0", `{"in":"pi","params":0}`},
		{"unusual form", `{"params":"hello","in":"ping"}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			service, body := NewService(), []byte(bench.body)
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = service.Answer(body).Append(dst[:0])
			}
		})
	}
}

// One operation is a reply that a client reads.
func BenchmarkParseReply(b *testing.B) {
	body := NewReply("pong", "hello").Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseReply(body); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one call of ping, on one of so many connections that are
// used in turn.
func BenchmarkWorker(b *testing.B) {
	for _, shape := range []struct{ conns, depth int }{{1, 1}, {1, 64}, {64, 64}} {
		b.Run(fmt.Sprintf("%d connections, %d at once", shape.conns, shape.depth), func(b *testing.B) {
			w := startInside(b, Limits{IdleTimeout: time.Minute, FrameTimeout: 30 * time.Second}, nil)
			var conns []net.Conn
			for range shape.conns {
				conn, err := net.Dial("tcp", w.addr)
				require.NoError(b, err)
				defer conn.Close()
				conns = append(conns, conn)
			}

			requests := bytes.Repeat(harness.Frame(harness.Request("ping", "hello")), shape.depth)
			replies := bytes.Repeat(harness.Frame(`{"out":"pong","result":"hello"}`), shape.depth)
			got := make([]byte, len(replies))
			b.ReportAllocs()
			b.ResetTimer()

			for done := 0; done < b.N; {
				for _, conn := range conns {
					if _, err := conn.Write(requests); err != nil {
						b.Fatal(err)
					}
				}
				for _, conn := range conns {
					if _, err := io.ReadFull(conn, got); err != nil {
						b.Fatal(err)
					}
					done += shape.depth
				}
			}
			require.Equal(b, string(replies), string(got))
		})
	}
}
