// A benchmark of the start: workers are started at once and not one after the
// other. Run it with go test -run '^$' -bench . ./step4-signals

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
)

// One operation is a server's start, until all of its workers are ready.
func BenchmarkStart(b *testing.B) {
	for _, workers := range []int{1, 10} {
		b.Run(fmt.Sprintf("%d workers", workers), func(b *testing.B) {
			theServer.Serve(b, harness.Options{Workers: workers}).Kill() // the program is built now
			for b.Loop() {
				s := theServer.Serve(b, harness.Options{Workers: workers})
				for begin := time.Now(); !strings.Contains(s.Stdout(), "master "); {
					if time.Since(begin) > 10*time.Second {
						b.Fatal("the workers don't become ready")
					}
					time.Sleep(time.Millisecond)
				}

				b.StopTimer()
				s.Kill()
				b.StartTimer()
			}
		})
	}
}
