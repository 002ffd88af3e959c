// The tables say what was measured, and tell met from not met.

package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/tools/plot"
)

// after returns the result of a window of one second.
func after(calls int64, p99 time.Duration) Result {
	return Result{
		Calls: calls, Seconds: 1, P50: p99 / 2, P99: p99,
		CPU: time.Second / 2, Resident: 20 << 20, RSS: 30 << 20,
	}
}

func example3() *Report {
	r := &Report{Rounds: Rounds{}, Idle: map[string][]IdlePoint{}}
	for _, factor := range []int64{1, 2, 4} { // the machine gets faster and faster: ratios don't
		r.Rounds["C2"] = append(r.Rounds["C2"], Round{
			ours: after(96*factor, time.Millisecond), raw: after(100*factor, time.Millisecond),
			goroutine: after(70*factor, 2*time.Millisecond),
			gob:       after(64*factor, 4*time.Millisecond), jsonRPC: after(65*factor, 4*time.Millisecond),
		})
	}
	r.Idle[ours] = []IdlePoint{{0, 8 << 20, 0}, {1000, 9 << 20, 1048}, {3000, 10 << 20, 900}, {10_000, 20 << 20, 1030}}
	return r
}

func target(t *testing.T, r *Report, what, against string) Target {
	t.Helper()
	for _, target := range r.Targets() {
		if target.What == what && target.Against == against {
			return target
		}
	}
	t.Fatalf("no target for %q against %q", what, against)
	return Target{}
}

func TestTargetsTellMetFromNotMet(t *testing.T) {
	r := example3()
	over := target(t, r, "C2 calls/s", "raw echo")
	require.InDeltaSlice(t, []float64{0.96, 0.96, 0.96}, over.Values, 1e-9)
	require.True(t, over.Met())
	require.True(t, target(t, r, "C2 calls/s", "net/rpc").Met(), "exactly at the bound")
	require.False(t, target(t, r, "C2 calls/s", "net/rpc/jsonrpc").Met())
	require.False(t, target(t, r, "C2 p99 latency", "goroutine per connection, same handler").Met(),
		"0.5 is over an upper bound of 0.4")
	require.False(t, target(t, r, "idle connection of 10,000", "").Met())
	require.False(t, target(t, r, "C1 calls/s", "raw echo").Met(), "not measured")
}

func TestTheMedianDecides(t *testing.T) {
	least, most := Target{Bound: 2}, Target{Bound: 2, Most: true}
	least.Values, most.Values = []float64{1, 2, 9}, []float64{1, 2.1, 9}
	require.True(t, least.Met())
	require.False(t, most.Met())
}

func TestRatiosAreWithinARound(t *testing.T) {
	r := Rounds{"s": {
		{"a": after(10, 1), "b": after(5, 1)},
		{"a": after(30, 1)},
		{"a": after(90, 1), "b": after(30, 1)},
	}}
	require.Equal(t, []float64{2, 3}, r.Ratios("s", "a", "b", rate))
	require.Equal(t, []float64{10, 30, 90}, r.Values("s", "a", rate))
}

func TestTables(t *testing.T) {
	tables := example3().Tables()
	require.Len(t, tables, 3, "without those of which nothing was measured")
	targets := tables[0].String()
	require.Regexp(t, `(?m)^\| C2 calls/s +\| raw echo +\| ≥ 0\.95 × \| +0\.96 × \| +\| +met \|$`, targets)
	require.Regexp(t, `(?m)^\| C2 calls/s +\| net/rpc/jsonrpc +\| +≥ 1\.5 × \| 1\.48 × \| +\| not met \|$`, targets)
	for _, table := range tables {
		require.NotContains(t, table.String(), "C1")
	}
}

func TestPlotsOfWhatWasMeasured(t *testing.T) {
	r := example3()
	plots := r.Plots()
	require.Len(t, plots, 3)
	require.NotContains(t, plots, "throughput-depth.svg")
	require.Equal(t, []plot.Series{{
		Name: "ours", Points: []plot.Point{{X: 0, Y: 8}, {X: 1000, Y: 9}, {X: 3000, Y: 10}, {X: 10_000, Y: 20}},
	}}, plots["memory-idle.svg"].Series)
	require.Equal(t, []plot.Point{{X: 64, Y: 192}}, plots["throughput-connections.svg"].Series[0].Points)
}
