// How long things take, for a comparison of registries.

package discoverytest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
)

// Benchmark measures, on one registry of its own, how long it takes from
// SetServing until there is a registration; until a client that watches knows;
// the same for the end of it; and until a client drops a server that has fallen
// silent, by more than the session timeout. It reports medians and maxima.
func (b Backend) Benchmark(bench *testing.B) {
	store := b.Start(bench)
	bench.Run("registration", func(bench *testing.B) {
		s := b.stage(bench, store)
		v := s.server(store.Addr(), 1)
		v.SetServing(true)
		s.waitEntries(v.addr) // it has connected by now
		measure(bench, func() time.Duration {
			v.SetServing(false)
			s.waitNone(soon)
			began := time.Now()
			v.SetServing(true)
			for {
				entries, err := store.Entries(bench, s.root)
				s.must(err)
				if len(entries) > 0 {
					return time.Since(began)
				}
			}
		})
	})
	for _, what := range []string{"a start reaches a client", "a stop reaches a client"} {
		bench.Run(what, func(bench *testing.B) {
			s := b.stage(bench, store)
			other := s.serving(store.Addr(), 2) // so that the list doesn't become empty: that is not believed at once
			v, client := s.server(store.Addr(), 1), s.watch(store.Addr())
			client.wait(false, other.addr)
			measure(bench, func() time.Duration {
				began := time.Now()
				v.SetServing(true)
				joined := client.seen(began, true, v.addr)
				began = time.Now()
				v.SetServing(false)
				left := client.seen(began, false, v.addr)

				if what == "a stop reaches a client" {
					return left
				}
				return joined
			})
		})
	}
	bench.Run("a server that falls silent is dropped", func(bench *testing.B) {
		s := b.stage(bench, store)
		other := s.serving(store.Addr(), 1) // so that the list doesn't become empty
		client := s.watch(store.Addr())
		measure(bench, func() time.Duration {
			link := b.Link(bench, store)
			v := s.serving(link.Addr(), 2)
			client.wait(false, other.addr, v.addr)
			began := time.Now()
			link.Partition(netproxy.Both)
			took := client.seen(began, false, v.addr)
			link.Close()
			v.close()
			return took - Session
		})
	})
}

// seen waits for the first snapshot since a moment that has, or hasn't, the
// address, and returns how long after that moment it came, to half a
// millisecond.
func (v *view) seen(since time.Time, listed bool, addr string) time.Duration {
	v.t.Helper()
	for deadline := since.Add(2 * soon); time.Now().Before(deadline); {
		snapshots, n := v.all(0)
		if n > 0 && slices.Contains(snapshots[n-1].Servers, addr) == listed {
			return time.Since(since)
		}
		time.Sleep(500 * time.Microsecond)
	}
	harness.Check(v.t, false, fmt.Sprintf("a list with %s: %t", addr, listed), "none within %v", 2*soon)
	return 0
}

// measure calls f b.N times and reports what it returns.
func measure(b *testing.B, f func() time.Duration) {
	var took []time.Duration
	for b.Loop() {
		took = append(took, f())
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(0, "ns/op") // has nothing to say: it counts what f does before and after
	b.ReportMetric(ms(took[len(took)/2]), "ms-median")
	b.ReportMetric(ms(took[len(took)-1]), "ms-max")
}
