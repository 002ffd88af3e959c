// What a soak measures before and after, and what it has to show in the end.

//go:build unix

package system

import (
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
)

// A figure is something that faults must not make grow.
type figure struct {
	what  string
	value int64
	unit  int64 // in which to show it
	most  int64 // what it may have become at the end
}

// count returns a figure that must be at the end what it is now.
func count(what string, n int) figure { return figure{what, int64(n), 1, int64(n)} }

// memory returns a figure that may grow a little: Go's collector lets garbage
// double what is in use, and returns memory to the system with a delay.
func memory(what string, bytes, slack int64) figure {
	return figure{what, bytes, 1 << 20, bytes + bytes/2 + slack}
}

func (s *soak) measureServers() []figure {
	processes, zombies, files, rss := 0, 0, 0, int64(0)
	for _, v := range s.servers {
		processes += len(v.Processes(s.t))
		zombies += len(v.Zombies())
		files += v.Open(s.t)
		rss += v.RSS()
	}

	nodes, err := s.registry.Nodes()
	if err != nil {
		s.logf("look at ZooKeeper: %v", err)
	}

	return []figure{
		count("processes of the servers", processes),
		count("zombies", zombies),
		count("znodes", len(nodes)),
		count("descriptors of the servers", files),
		memory("MiB of the servers' memory", rss, 64<<20),
	}
}

// measureOurselves measures this process, in which the clients are.
func (s *soak) measureOurselves(when string) []figure {
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return []figure{
		count("descriptors "+when, openFiles(s.t)),
		count("goroutines "+when, runtime.NumGoroutine()),
		memory("MiB of heap "+when, int64(mem.HeapAlloc), 4<<20),
	}
}

// wantBack waits until no figure is larger than it may be, and logs both.
func (s *soak) wantBack(before []figure, measure func() []figure) {
	s.t.Helper()
	var table string
	harness.Eventually(s.t, recoveryTime, "all figures back to where they were", func() (bool, string) {
		var lines []string
		ok := true
		for i, now := range measure() {
			then, mark := before[i], ""
			if now.value > then.most {
				ok, mark = false, fmt.Sprintf("   more than %d", then.most/then.unit)
			}
			lines = append(lines,
				fmt.Sprintf("  %-34s %6d → %d%s\n", now.what, then.value/then.unit, now.value/now.unit, mark))
		}

		table = strings.Join(lines, "")
		if ok {
			return true, table
		}

		var goroutines strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&goroutines, 1) // 1: as text
		return false, table + goroutines.String()
	})
	fmt.Fprint(s.t.Output(), table)
}

// report is the end of the log.
func (s *soak) report() {
	var lines []string
	total := 0
	for k, n := range s.counts {
		lines = append(lines, fmt.Sprintf("  %-34s %6d\n", k.name, n))
		total += n
	}
	slices.Sort(lines)
	fmt.Fprintf(s.t.Output(), "  %-34s %6d, in %d rounds\n%s", "faults", total, s.rounds, strings.Join(lines, ""))
	fmt.Fprintf(s.t.Output(), "  %-34s %6d; the slowest took %.1fs\n  %-34s %6d\n",
		"calls", s.calls(), s.slow.Seconds(), "failed", s.failed())
	assert.Zero(s.t, s.failed(), "failed calls")
}
