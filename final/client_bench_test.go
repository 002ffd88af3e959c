// Benchmarks of the client: what a call costs when one, 64 or 512 goroutines
// share a connection, its context's deadline included. Run them with
// go test -run '^$' -bench . -benchmem ./final

package rpc

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One operation is one call of ping.
func BenchmarkClient(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
			client := NewClient(Static{startPonger(b)})
			defer client.Close()
			require.NoError(b, client.Wait(b.Context(), 1))

			var params any = "hello" // made once: not a cost of the call
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()

			for range callers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
						_, _, err := client.Call(ctx, "ping", params)
						cancel()
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// startPonger returns the address of a server that answers every frame with
// pong and allocates nothing for it: what is measured is the client.
func startPonger(b *testing.B) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { listener.Close() })
	reply := AppendFrame(nil, NewReply("pong", "hello").Append(nil))
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				decoder, chunk, out := NewDecoder(MaxRequest), make([]byte, 64<<10), []byte(nil)

				for {
					n, err := conn.Read(chunk)
					if err != nil {
						return
					}
					out = out[:0]
					decoder.Feed(chunk[:n])
					for _, ok := decoder.Next(); ok; _, ok = decoder.Next() {
						out = append(out, reply...)
					}
					if _, err := conn.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}
