// A benchmark of what more workers gain: computations, by one process and by
// two. Run it with go test -run '^$' -bench . ./step3-prefork

package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/rpcworkbook/internal/harness"
)

// One operation is one call of pi(100000), eight being made at a time.
func BenchmarkWorkers(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d at work", workers), func(b *testing.B) {
			s := theServer.Serve(b, harness.Options{Workers: workers})
			var callers []*harness.Conn
			for range 8 {
				callers = append(callers, s.Dial(b))
			}

			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			b.ResetTimer()
			for _, c := range callers {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						if reply, err := c.TryCall("pi", 100_000); err != nil || reply.Kind != "pi_r" {
							b.Error(reply, err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}
