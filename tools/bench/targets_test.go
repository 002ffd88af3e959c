// The tables say what was measured, and tell met from not met.

package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// after returns the result of a window of one second.
func after(calls int64, p99 time.Duration) Result {
	return Result{Calls: calls, Seconds: 1, P50: p99 / 2, P99: p99, CPU: time.Second / 2, Resident: 20 << 20, RSS: 30 << 20}
}

func example3() *Report {
	r := &Report{Rounds: Rounds{}, Idle: map[string][]IdlePoint{}}
	for _, factor := range []int64{1, 2, 4} { // the machine gets faster and faster: ratios don't
		r.Rounds["C2"] = append(r.Rounds["C2"], Round{
			ours: after(96*factor, time.Millisecond), raw: after(100*factor, time.Millisecond),
			goroutine: after(70*factor, 2*time.Millisecond), gob: after(64*factor, 4*time.Millisecond), jsonRPC: after(65*factor, 4*time.Millisecond),
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
	require.False(t, target(t, r, "C2 p99 latency", "goroutine per connection, same handler").Met(), "0.5 is over an upper bound of 0.4")
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
	r := Rounds{"s": {{"a": after(10, 1), "b": after(5, 1)}, {"a": after(30, 1)}, {"a": after(90, 1), "b": after(30, 1)}}}
	require.Equal(t, []float64{2, 3}, r.Ratios("s", "a", "b", rate))
	require.Equal(t, []float64{10, 30, 90}, r.Values("s", "a", rate))
}

func TestTablesInBothForms(t *testing.T) {
	var text, markdown bytes.Buffer
	tables := example3().Tables()
	require.Len(t, tables, 3, "without those of which nothing was measured")
	for _, table := range tables {
		table.WriteText(&text)
		table.WriteMarkdown(&markdown)
	}
	require.Contains(t, text.String(), "\n  C2 calls/s                            raw echo                                ≥ 0.95 ×  0.96 ×  ")
	require.NotContains(t, text.String(), "C1")
	for line := range strings.Lines(markdown.String()) {
		if row, ok := strings.CutPrefix(line, "| C2 calls/s"); ok && strings.Contains(row, "| net/rpc/jsonrpc ") {
			require.Regexp(t, `\| ≥ 1\.5 × *\| 1\.48 × *\| *\| not met *\|$`, strings.TrimSpace(row))
			return
		}
	}
	t.Fatal("no line for jsonrpc in\n" + markdown.String())
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for want, got := range map[string]string{
		"1,230,000": perSec(1234567), "987": perSec(987.4), "1.05 ×": times(1.0512), "0.0512 ×": times(0.05123), "12.3 ×": times(12.345), "123 ×": times(123.4),
		"0 ×": times(0), "1.23ms": duration(1234567), "53 %": percent(0.531), "1.5 MiB": mebi(1.5 * (1 << 20)), "745 B": bytesOf(745.2),
	} {
		require.Equal(t, want, got)
	}
}

func TestPlotsOfWhatWasMeasured(t *testing.T) {
	r := example3()
	plots := r.Plots()
	require.Len(t, plots, 3)
	require.NotContains(t, plots, "throughput-depth.svg")
	require.Equal(t, []Series{{"this server", []Point{{0, 8}, {1000, 9}, {3000, 10}, {10_000, 20}}}}, plots["memory-idle.svg"].Series)
	require.Equal(t, []Point{{64, 192}}, plots["throughput-connections.svg"].Series[0].Points)
	dir := t.TempDir() + "/new"
	require.NoError(t, r.WritePlots(dir))
	require.FileExists(t, dir+"/p99-connections.svg")
}
