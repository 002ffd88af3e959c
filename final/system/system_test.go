// The whole system at once: servers of several processes, a real ZooKeeper and
// the library's client, through everything that can happen to a server. No call
// may fail, and nothing may be left behind.

//go:build unix

package system

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

func TestNoCallFailsWhateverHappensToServers(t *testing.T) {
	harness.NeedProc(t)
	zookeeper := zktest.Start(t)
	registry := zktest.NewRegistry(t, zookeeper, "/system/servers") // the servers make both levels
	start := func() *harness.Server {
		return startServer(t, harness.Options{
			Workers: 2, ZK: zookeeper.Addr(), Root: registry.Root, Session: 2 * time.Second,
		})
	}
	a, b := start(), start()
	registered := func(what string, addrs ...string) {
		t.Helper()
		slices.Sort(addrs)
		registry.Wait(patience, what, func(nodes []zktest.Node) bool {
			var got []string
			for _, n := range nodes {
				got = append(got, n.Addr())
			}
			slices.Sort(got)
			return slices.Equal(got, addrs)
		})
	}
	registered("both servers", a.Addr, b.Addr)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	client := newClient(t, zookeeper.Addr(), registry.Root, 2*time.Second, 2)
	calls := startCallers(t, client, 20)
	calls.wait(a, 100)
	calls.wait(b, 100)

	// Stopped, and started again.
	a.Signal(syscall.SIGTERM)
	assert.Zero(t, a.Wait(patience), "exit code of a stopped server\n%s", a.Stderr())
	registered("B alone", b.Addr)
	calls.wait(b, 100)
	a = a.Restart(t)
	calls.wait(a, 100)

	// Killed at a blow, and started again at once: two znodes, one address.
	b.Kill()
	b.Wait(patience)
	calls.wait(a, 100)
	b = b.Restart(t)
	calls.wait(b, 100)

	// Frozen: connections stay, the kernel accepts new ones, nobody answers.
	// The session ends meanwhile.
	frozen := a.Processes(t)
	a.Freeze(frozen...)
	registered("B, and A's session over", b.Addr)
	calls.waitEach(3)
	a.SignalEach(syscall.SIGCONT, frozen...)
	registered("A again", a.Addr, b.Addr)
	calls.wait(a, 100)

	// One worker killed.
	a.SignalEach(syscall.SIGKILL, a.Workers(t)[0])
	a.WaitWorkers(t, patience, 2)
	calls.wait(a, 100)

	// One master killed: its workers finish and leave.
	b.SignalEach(syscall.SIGKILL, b.PID)
	harness.Eventually(t, patience, "B's workers gone", func() (bool, string) {
		return len(b.Processes(t)) == 0, b.Tree()
	})
	b = b.Restart(t)
	calls.wait(b, 100)

	calls.end()
	client.Close()
	for _, s := range []*harness.Server{a, b} {
		s.Signal(syscall.SIGTERM)
		assert.Zero(t, s.Wait(patience), "exit code\n%s", s.Stderr())
		assert.Empty(t, s.Processes(t), "processes left behind")
	}
	registry.WaitNone(patience)
	harness.Eventually(t, patience, "as many goroutines and open files as before", func() (bool, string) {
		g, f := runtime.NumGoroutine(), openFiles(t)
		stacks := make([]byte, 1<<16)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return g <= goroutines && f <= files,
			fmt.Sprintf("%d goroutines, before %d; %d files, before %d\n%s", g, goroutines, f, files, stacks)
	})
}

// π comes out of the whole system bit for bit, and its error shrinks as the
// series says: error × π(n+1) tends to 1.
func TestPiConvergesThroughTheWholeSystem(t *testing.T) {
	zookeeper := zktest.Start(t)
	registry := zktest.NewRegistry(t, zookeeper, "/pi")
	addrs := make(map[string]bool)
	for range 2 {
		addrs[startServer(t, harness.Options{ZK: zookeeper.Addr(), Root: registry.Root}).Addr] = true
	}
	client := newClient(t, zookeeper.Addr(), registry.Root, 2*time.Second, 2)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()

	printed := map[int]string{93: "3.1382045832", 95: "3.13827520401", 99: "3.13840796707"} // in the tutorial
	last, servers := 0.0, make(map[string]bool)
	for _, n := range []int{0, 1, 9, 93, 95, 99, 999, 9_999, 99_999, 999_999, 9_999_999} {
		for range 4 { // whichever server answers
			reply, server, err := client.Call(ctx, "pi", n)
			require.NoError(t, err)
			servers[server] = true

			var pi float64
			require.NoError(t, json.Unmarshal(reply.Result, &pi))
			assert.Equal(t, math.Float64bits(rpc.PiSum(n)), math.Float64bits(pi), "bits of pi(%d) from %s", n, server)

			if want, ok := printed[n]; ok {
				assert.Equal(t, want, fmt.Sprintf("%.12g", pi))
			}

			if n >= 9 {
				// The series' own next term, and the rounding of n additions.
				tolerance := 2/float64(n+1) + 1e-11*float64(n+1)
				assert.InDelta(t, 1, (math.Pi-pi)*math.Pi*float64(n+1), tolerance, "error of pi(%d) times π(n+1)", n)
			}

			assert.GreaterOrEqual(t, pi, last, "pi(%d) is nearer than the one before", n)
			last = pi
		}
	}
	assert.Equal(t, addrs, servers, "every server has answered")
}
