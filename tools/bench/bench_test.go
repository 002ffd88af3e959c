// The comparison measures what it says: every driver counts the calls of every
// server, and the servers are gone afterwards. Nothing here is about speed.

//go:build linux

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) {
	Rival(os.Args[1:])
	os.Exit(m.Run())
}

// running starts a server for the length of the test.
func running(t *testing.T, name string, workers int) *server {
	t.Helper()
	s, err := start(t.Context(), contender{server: name, workers: workers}, harness.Build(t, "../../final/cmd/server"))
	require.NoError(t, err)
	t.Cleanup(s.stop)
	return s
}

func TestEveryContenderIsMeasured(t *testing.T) {
	for _, shape := range []Shape{{"3x5", 3, 5}, {"40x1", 40, 1}} {
		for _, c := range contenders {
			t.Run(c.name+" at "+shape.String(), func(t *testing.T) {
				s := running(t, c.server, c.workers)
				r, err := c.drive(Job{
					Addr: s.addr, PIDs: s.pids,
					Conns: shape.Conns, Depth: shape.Depth, Reply: c.reply,
					Warm: time.Millisecond, Window: 50 * time.Millisecond,
				})
				require.NoError(t, err)
				require.Positive(t, r.Calls)
				require.GreaterOrEqual(t, r.Seconds, 0.05)
				require.Positive(t, r.P50)
				require.GreaterOrEqual(t, r.P99, r.P50)
				require.Positive(t, r.CPU)
				require.Greater(t, r.Resident, int64(1<<20))
				require.GreaterOrEqual(t, r.RSS, r.Resident)

				if c.name == ours {
					require.Len(t, s.pids, 3)
					require.InDelta(t, 0.75, r.Share, 0.25, "two workers have all the connections")
				}
			})
		}
	}
}

func TestEveryClientIsMeasured(t *testing.T) {
	for _, c := range slices.Concat(clients, choices) {
		s := running(t, c.server, c.workers)
		several := []string{s.addr, s.addr}
		r, err := c.drive(Job{
			Addr: s.addr, Addrs: several[:min(2, max(1, c.servers))], PIDs: s.pids,
			Conns: 1, Depth: 3, Reply: c.reply,
			Warm: time.Millisecond, Window: 50 * time.Millisecond,
		})
		require.NoError(t, err, c.name)
		require.Positive(t, r.Calls, c.name)
		require.Positive(t, r.P99, c.name)
	}
}

// What the generator counts is what the server was asked, give or take what
// was under way at either end of the window.
func TestLoadCountsWhatTheServerAnswers(t *testing.T) {
	service := rpc.NewService()
	answered := 0
	loop, addr := serving(t, func(c *rpc.Conn, body []byte) {
		answered++
		c.Reply(service.Answer(body))
	})

	const conns, depth = 3, 4
	l, err := newLoader(Job{Addr: addr, Conns: conns, Depth: depth, Reply: pong})
	require.NoError(t, err)
	defer l.close()
	for l.hist.Count() < 100 {
		require.NoError(t, l.run(10*time.Millisecond))
	}

	total := make(chan int)
	loop.Post(func() { total <- answered })
	unread := <-total - int(l.hist.Count())
	require.GreaterOrEqual(t, unread, 0)
	require.LessOrEqual(t, unread, conns*depth, "answered, but not counted")
}

func TestClosedLoopCountsTheWindowOnly(t *testing.T) {
	var total atomic.Int64
	warming := true // the first call takes an hour, it says
	steps := []step{func() (time.Duration, error) {
		total.Add(1)
		if warming {
			warming = false
			return time.Hour, nil
		}
		return time.Millisecond, nil
	}}
	ended := false
	r, err := closedLoop(Job{PIDs: []int{os.Getpid()}, Window: 10 * time.Millisecond}, steps, func() { ended = true })
	require.NoError(t, err)
	require.True(t, ended)
	require.Positive(t, r.Calls)
	require.Less(t, r.Calls, total.Load(), "the first call isn't counted")
	require.InEpsilon(t, time.Millisecond, r.P99, 0.01)

	_, err = closedLoop(Job{PIDs: []int{os.Getpid()}, Window: time.Hour}, []step{func() (time.Duration, error) {
		return 0, errors.New("refused")
	}}, func() {})
	require.ErrorContains(t, err, "refused")
}

// serving runs a server of ours inside the test.
func serving(t *testing.T, handler rpc.Handler) (*rpc.Loop, string) {
	t.Helper()
	fd, addr, err := rpc.Listen("127.0.0.1", "0")
	require.NoError(t, err)

	poller, err := rpc.NewPoller()
	require.NoError(t, err)

	loop, err := rpc.NewLoop(poller)
	require.NoError(t, err)
	_, err = rpc.NewServer(loop, fd, handler)
	require.NoError(t, err)

	over := make(chan error)
	go func() { over <- loop.Run() }()
	t.Cleanup(func() {
		loop.Drain()
		require.NoError(t, <-over)
	})
	return loop, addr.String()
}

func TestAWrongReplyIsNoCall(t *testing.T) {
	calls := 0
	_, addr := serving(t, func(c *rpc.Conn, body []byte) {
		calls++
		if calls > 3 {
			c.Reply(rpc.NewReply("error", "I am tired"))
			return
		}
		c.Reply(rpc.NewReply("pong", greeting))
	})
	_, err := load(Job{Addr: addr, PIDs: []int{os.Getpid()}, Conns: 1, Depth: 1, Reply: pong, Window: time.Minute})
	require.ErrorContains(t, err, "it says something else")
	_, err = load(Job{Addr: addr, PIDs: []int{os.Getpid()}, Conns: 1, Depth: 1, Reply: pong, Window: time.Minute})
	require.ErrorContains(t, err, "the reply is not")
}

func TestCutterCountsFramesHoweverTheyAreCut(t *testing.T) {
	stream := bytes.Repeat(rpc.AppendFrame(nil, []byte(pong)), 20)
	for size := 1; size < 100; size++ {
		c, frames := cutter{want: uint32(len(pong))}, 0
		for chunk := range chunks(stream, size) {
			n, err := c.count(chunk)
			require.NoError(t, err)
			frames += n
		}
		require.Equal(t, 20, frames, "in chunks of %d", size)
	}

	c := cutter{}
	n, err := c.count(make([]byte, 3*rpc.HeaderSize)) // bodies may be empty
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = c.count([]byte{1, 0, 0, 0})
	require.ErrorContains(t, err, "a reply of 1 bytes, not 0")
}

func chunks(stream []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

func TestIdleConnectionsAreOpenWhileMemoryIsReadAndClosedAfterwards(t *testing.T) {
	s := running(t, goroutine, 1)
	points, err := idle(t.Context(), s, pong, []int{10, 500})
	require.NoError(t, err)
	require.Len(t, points, 3)
	require.Equal(t, []int{0, 10, 500}, []int{points[0].Conns, points[1].Conns, points[2].Conns})
	require.Greater(t, points[2].Resident, points[0].Resident)
	require.Greater(t, points[2].PerConn, float64(readSize), "each has a buffer")
	_, err = idle(t.Context(), s, request, []int{1})
	require.Error(t, err, "the reply of another server")
}

func TestComputation(t *testing.T) {
	// 10 ms a computation: the kernel counts the time of a thread that has not
	// been interrupted since up to its last tick only, of which there are 250 a
	// second.
	c, err := compute(t.Context(), running(t, ours, 1), 2, 5_000_000, 50*time.Millisecond)
	require.NoError(t, err)
	for _, values := range [][]float64{c.Division, c.InProcess, c.Served} {
		require.Len(t, values, 2)
		require.Positive(t, values[0])
	}
	require.Positive(t, c.Beside.P99)
}

func TestTheWholeRunStopsWhatItStarted(t *testing.T) {
	var log bytes.Buffer
	config := Config{
		Server: harness.Build(t, "../../final/cmd/server"), Rounds: 2, Window: 20 * time.Millisecond,
		Only: []string{"C1", "G=1"}, Log: &log,
	}
	report, err := Run(t.Context(), config)
	require.NoError(t, err)
	require.Len(t, report.Rounds["C1"], 2)
	require.Len(t, report.Rounds["C1"][1], len(contenders))
	require.Len(t, report.Rounds["G=1"][1], len(clients))
	require.NotContains(t, report.Rounds, "C2")
	require.Equal(t, 4, strings.Count(log.String(), "\n"))

	// Interrupted in a window that would take an hour of waiting.
	var pids []int
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := contender{
		name: "interrupted", server: ours, workers: 1, reply: pong,
		drive: func(job Job) (Result, error) {
			pids, job.Window = job.PIDs, time.Hour
			time.AfterFunc(job.Warm, cancel)
			return load(job)
		},
	}
	err = config.round(ctx, report, 0, c1, []contender{interrupted})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, pids, 2)
	for _, pid := range pids {
		harness.Eventually(t, patience, "the server's processes are gone", func() (bool, string) {
			err := unix.Kill(pid, 0)
			return err == unix.ESRCH, fmt.Sprintf("process %d: %v", pid, err)
		})
	}
}

func TestAServerThatCanNotStartSaysWhy(t *testing.T) {
	_, err := start(t.Context(), contender{server: "no such rival"}, "")
	require.ErrorContains(t, err, `there is no server "no such rival"`)
	_, err = start(t.Context(), contender{server: ours, workers: 1}, "/nonexistent")
	require.ErrorContains(t, err, "/nonexistent")
	_, err = start(t.Context(), Command{"theirs", "echo no port {port}; exit 3"}.contender(), "")
	require.ErrorContains(t, err, "the server has ended")
	require.ErrorContains(t, err, "no port")
}

func TestCommandsThatTakePart(t *testing.T) {
	for text, want := range map[string][]Command{
		"":                               nil,
		" ; ":                            nil,
		"a=serve {host} {port}":          {{"a", "serve {host} {port}"}},
		"a=X=1 serve {port}; b=b:{port}": {{"a", "X=1 serve {port}"}, {"b", "b:{port}"}},
	} {
		all, err := ParseCommands(text)
		require.NoError(t, err, text)
		require.Equal(t, want, all, text)
	}
	for _, text := range []string{
		"serve {port}", "a=", "=serve {port}", "a=serve", "a=x {port};a=y {port}", "gnet=x {port}",
	} {
		_, err := ParseCommands(text)
		require.Error(t, err, text)
	}
}

// A rival of the reader's has several processes, which all count.
func TestACommandIsMeasured(t *testing.T) {
	server := harness.Build(t, "../../final/cmd/server")
	config := Config{
		Server: server, Rounds: 1, Window: 20 * time.Millisecond, Only: []string{"C1"}, Log: &bytes.Buffer{},
		Rivals: []Command{{"theirs", server + " -workers 3 -zk 127.0.0.1:1 {host} {port}"}},
	}
	report, err := Run(t.Context(), config)
	require.NoError(t, err)
	require.Positive(t, report.Rounds["C1"][0]["theirs"].Calls)
	require.Positive(t, report.Rounds["C1"][0]["theirs"].DriverCPU)
	require.Contains(t, report.Tables()[1].String(), "theirs")

	s, err := start(t.Context(), config.Rivals[0].contender(), "")
	require.NoError(t, err)
	defer s.stop()
	require.Len(t, s.pids, 4)
}

func TestADisturbedSampleIsTakenAgain(t *testing.T) {
	others := []float64{0.5, 0.3, 0.01, 0}
	c := contender{name: "quiet at last", server: goroutine, drive: func(Job) (Result, error) {
		r := Result{Calls: 1, Seconds: 1, Others: others[0]}
		others = others[1:]
		return r, nil
	}}
	report := &Report{}
	result, err := Config{}.undisturbed(t.Context(), report, c, c1)
	require.NoError(t, err)
	require.Equal(t, 0.01, result.Others)
	require.Equal(t, 1, report.Samples)
	require.Zero(t, report.Disturbed)

	others = []float64{0.5, 0.3, 0.4, 0.6, 0}
	result, err = Config{}.undisturbed(t.Context(), report, c, c1)
	require.NoError(t, err)
	require.Equal(t, 0.3, result.Others, "the least of a few")
	require.Equal(t, 1, report.Disturbed)
}
