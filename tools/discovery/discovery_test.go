// Tests of the discovery benchmark: of its tables and its counting, and small
// runs of the whole. How fast anything is, is not for tests.

//go:build linux

package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/tools/plot"
)

func TestVerdict(t *testing.T) {
	for want, f := range map[string]Figure{
		"met":          {Target: "< 50 ms", Most: 50, Values: []float64{1, 50}},
		"not met":      {Target: "0", Values: []float64{0, 0, 1}},
		"not measured": {Target: "0"},
		"":             {Values: []float64{1}},
	} {
		assert.Equal(t, want, f.verdict(), "%+v", f)
	}
}

func TestTables(t *testing.T) {
	r := &Report{
		Figures: []Figure{
			{What: "stop – until all know", Unit: "ms", Values: []float64{1, 2.345, 123.4},
				Target: "< 50 ms", Most: 50},
			{What: "calls", Values: []float64{0}},
			{What: "nothing", Unit: "ms"},
		},
		Delays: []WatchDelay{{Servers: 10, Clients: 1, Median: 0.5, P99: 12.34, Last: 3}, {1_000_000, 200, 1, 2, 3}},
	}
	assert.Equal(t, `
**Between ZooKeeper, servers and clients**

| measured              | target  |  median |    p99 | least … most | values | target met? |
| --------------------- | ------- | ------: | -----: | -----------: | -----: | ----------: |
| stop – until all know | < 50 ms | 2.35 ms | 123 ms |      1 … 123 |      3 |     not met |
| calls                 |         |       0 |      0 |              |      1 |             |
| nothing               |         |         |        |              |      0 |             |

**Until clients know of a change, from the request that makes it**

| servers   | clients | median, ms | p99, ms | last client, ms |
| --------- | ------- | ---------: | ------: | --------------: |
| 10        | 1       |        0.5 |    12.3 |               3 |
| 1,000,000 | 200     |          1 |       2 |               3 |
`, fmt.Sprintf("\n%v\n%v", r.Tables()[0], r.Tables()[1]))
}

func TestDelayPlot(t *testing.T) {
	r := &Report{Delays: []WatchDelay{{10, 1, 1, 2, 3}, {10, 50, 4, 5, 6}, {1000, 1, 7, 8, 9}}}
	p := r.DelayPlot()
	assert.Equal(t, []plot.Series{
		{Name: "10 servers, median", Points: []plot.Point{{X: 1, Y: 1}, {X: 50, Y: 4}}, Colour: 1},
		{Name: "10 servers, p99", Points: []plot.Point{{X: 1, Y: 2}, {X: 50, Y: 5}}, Colour: 1, Dash: "7 4"},
		{Name: "10 servers, last client", Points: []plot.Point{{X: 1, Y: 3}, {X: 50, Y: 6}}, Colour: 1, Dash: "2 4"},
		{Name: "1,000 servers, median", Points: []plot.Point{{X: 1, Y: 7}}, Colour: 2},
		{Name: "1,000 servers, p99", Points: []plot.Point{{X: 1, Y: 8}}, Colour: 2, Dash: "7 4"},
		{Name: "1,000 servers, last client", Points: []plot.Point{{X: 1, Y: 9}}, Colour: 2, Dash: "2 4"},
	}, p.Series)
	require.NoError(t, p.WriteSVG(&strings.Builder{}))
}

// message returns a message to ZooKeeper: the length, the number, what is
// wanted, and something more.
func message(number, want int32) []byte {
	rest := "/servers/rpc0000000000"
	m := binary.BigEndian.AppendUint32(nil, uint32(8+len(rest)))
	m = binary.BigEndian.AppendUint32(m, uint32(number))
	m = binary.BigEndian.AppendUint32(m, uint32(want))
	return append(m, rest...)
}

func TestRequestReader(t *testing.T) {
	var stream []byte
	for _, m := range [][]byte{
		message(0, 12), // the handshake, which only looks like a request
		message(1, 12), message(2, 4), message(-2, 11), message(3, 4), message(4, 1), message(5, 4),
	} {
		stream = append(stream, m...)
	}

	for _, size := range []int{1, 3, 7, 34, len(stream)} {
		var counts turnstile
		r := &requestReader{turnstile: &counts}
		for left := stream; len(left) > 0; {
			n, err := r.Write(left[:min(size, len(left))])
			require.NoError(t, err)
			left = left[n:]
		}

		assert.Equal(t, [3]int64{1, 3, 1}, [3]int64{counts.lists.Load(), counts.gets.Load(), counts.others.Load()},
			"lists, gets and others, in chunks of %d bytes", size)
	}
}

func TestFailedCalls(t *testing.T) {
	at := time.Now()
	n, err := failedCalls([]call{
		{}, {began: at, ended: at.Add(time.Second), err: errors.New("lost")}, {err: errors.New("later")},
	})
	assert.Equal(t, 2, n)
	assert.EqualError(t, err, "after 1s: lost")
	n, err = failedCalls([]call{{}})
	assert.Zero(t, n)
	assert.NoError(t, err)
}

// small is a run that takes a moment.
func small(t *testing.T) Options {
	t.Setenv("GORACE", "atexit_sleep_ms=0") // built with the race detector, a server would take a second longer to end
	return Options{
		Server: harness.Build(t, "../../final/cmd/server"),
		Rounds: 1, Clients: 3, Servers: 20, Watchers: []int{1, 3},
		Progress: func(what string) { t.Log(what) },
	}
}

func TestMeasure(t *testing.T) {
	r, err := Measure(t.Context(), small(t))
	require.NoError(t, err)
	for _, table := range r.Tables() {
		t.Logf("\n%v", table)
	}

	const (
		picked = "SIGKILL: what a call that picks the dead server takes longer"
		caught = "SIGKILL: the same, of calls begun before it was gone"
	)
	byName := make(map[string]Figure)
	for _, f := range r.Figures {
		if f.What != picked && f.What != caught {
			assert.NotEmpty(t, f.Values, f.What)
		}
		byName[f.What] = f
	}

	// A call of each client was at the dead server, or picked it: which of the
	// two is decided by how long it took to kill.
	assert.GreaterOrEqual(t, len(byName[picked].Values)+len(byName[caught].Values), killCallers)

	assert.Equal(t, []float64{1}, byName["1 of 20 servers joins: lists read by each client"].Values)
	assert.Equal(t, []float64{1}, byName["1 of 20 servers joins: znodes read by each client"].Values)
	assert.Equal(t, []float64{1}, byName["1 of 20 servers leaves: lists read by each client"].Values)
	assert.Equal(t, []float64{0}, byName["1 of 20 servers leaves: znodes read by each client"].Values)
	assert.Equal(t, []float64{0}, byName["failed calls, per SIGKILL"].Values)
	assert.Equal(t, []float64{0}, byName["failed calls, per rolling restart of 3 servers"].Values)
	assert.Greater(t, byName["calls made meanwhile"].Values[0], 3.0)

	var points []string
	for _, d := range r.Delays {
		points = append(points, fmt.Sprintf("%d/%d", d.Servers, d.Clients))
		assert.Positive(t, d.Median)
		assert.LessOrEqual(t, d.Median, d.P99)
	}

	assert.Equal(t, []string{"10/1", "10/3", "20/1", "20/3"}, points)
	assert.Empty(t, children(t))
}

// Interrupted in the middle, it ends what it has started.
func TestMeasureInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	o := small(t)
	o.Rounds = 1_000_000
	parts := 0
	o.Progress = func(string) { parts++ }

	done := make(chan error, 1)
	go func() {
		_, err := Measure(ctx, o)
		done <- err
	}()

	harness.Eventually(t, 30*time.Second, "a server beside ZooKeeper", func() (bool, string) {
		all := children(t)
		return len(all) >= 2, fmt.Sprint(all)
	})

	cancel(why)
	assert.ErrorIs(t, <-done, why)
	assert.Equal(t, 1, parts)
	assert.Empty(t, children(t))
}

// children are the programs that this process has started and that live.
func children(t *testing.T) (programs []string) {
	t.Helper()
	all, err := proc.Children(os.Getpid())
	require.NoError(t, err)
	for _, child := range all {
		if child.Name == "server" || child.Name == "java" {
			programs = append(programs, child.Name)
		}
	}
	return programs
}
