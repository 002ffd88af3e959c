// The whole system at once: servers of several processes, a real ZooKeeper and
// the library's client, through everything that can happen to a server. No call
// may fail, and nothing may be left behind.

//go:build unix

package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
)

// patience is for what takes a moment on an idle machine.
const patience = 20 * time.Second

// A callers is a number of goroutines that call without end.
type callers struct {
	t      *testing.T
	client *Client
	stop   chan struct{}
	done   sync.WaitGroup

	calls []atomic.Int64 // by caller

	mu       sync.Mutex
	answered map[string]int // calls by server
	failures []string
}

func startCallers(t *testing.T, client *Client, n int) *callers {
	c := &callers{t: t, client: client, stop: make(chan struct{}), calls: make([]atomic.Int64, n), answered: make(map[string]int)}
	for i := range n {
		c.done.Go(func() { c.run(i) })
	}
	return c
}

func (c *callers) run(caller int) {
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return
		default:
		}
		method, params, want := "ping", any(fmt.Sprintf("caller %d, call %d", caller, i)), ""
		if i%4 == 3 {
			method, params = "pi", 100*(i%50)
			raw, _ := json.Marshal(PiSum(100 * (i % 50)))
			want = string(raw)
		} else {
			raw, _ := json.Marshal(params)
			want = string(raw)
		}
		// What the client promises: a call with 5 s succeeds as long as one
		// listed server serves.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		reply, server, err := c.client.Call(ctx, method, params)
		cancel()
		c.calls[caller].Add(1)
		c.mu.Lock()
		c.answered[server]++
		if err != nil {
			c.failures = append(c.failures, err.Error())
		} else if string(reply.Result) != want {
			c.failures = append(c.failures, fmt.Sprintf("%s %v: got %s, want %s", method, params, reply.Result, want))
		}
		c.mu.Unlock()
	}
}

// wait waits until the server has answered n more calls.
func (c *callers) wait(s *harness.Server, n int) {
	c.t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.answered[s.Addr]
	}
	before := count()
	harness.Eventually(c.t, patience, fmt.Sprintf("%d more calls answered by %s", n, s.Addr), func() (bool, string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.answered[s.Addr]-before >= n, fmt.Sprintf("%d; answers %v, failures %q", c.answered[s.Addr]-before, c.answered, c.failures)
	})
}

// waitEach waits until every caller has made n more calls: none of them hangs
// at a server any more.
func (c *callers) waitEach(n int64) {
	c.t.Helper()
	before := make([]int64, len(c.calls))
	for i := range c.calls {
		before[i] = c.calls[i].Load()
	}
	harness.Eventually(c.t, patience, fmt.Sprintf("%d more calls made by every caller", n), func() (bool, string) {
		var slow []int
		for i := range c.calls {
			if c.calls[i].Load()-before[i] < n {
				slow = append(slow, i)
			}
		}
		return len(slow) == 0, fmt.Sprintf("callers %v not so far", slow)
	})
}

// end stops the callers and expects that no call failed.
func (c *callers) end() {
	c.t.Helper()
	close(c.stop)
	c.done.Wait()
	c.t.Logf("calls answered by %v", c.answered)
	assert.Empty(c.t, c.failures, "failed calls")
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int { return len(harness.Descriptors(t, os.Getpid())) }

func TestNoCallFailsWhateverHappensToServers(t *testing.T) {
	harness.NeedProc(t)
	zookeeper := zkdev.StartT(t)
	registry := zkdev.RegistryT(t, zookeeper, "/system/servers") // the servers make both levels
	start := func() *harness.Server {
		return startServer(t, harness.Options{Workers: 2, ZK: zookeeper.Addr(), Root: registry.Root, Session: 2 * time.Second})
	}
	a, b := start(), start()
	registered := func(what string, addrs ...string) {
		t.Helper()
		slices.Sort(addrs)
		registry.Wait(patience, what, func(nodes []zkdev.Node) bool {
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

	session, err := NewSession(zookeeper.Addr(), 2*time.Second)
	require.NoError(t, err)
	client := NewClient(NewZKDiscovery(session, registry.Root))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, client.Wait(ctx, 2))
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
	harness.Eventually(t, patience, "B's workers gone", func() (bool, string) { return len(b.Processes(t)) == 0, b.Tree() })
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
		return g <= goroutines && f <= files, fmt.Sprintf("%d goroutines, before %d; %d files, before %d\n%s", g, goroutines, f, files, stacks)
	})
}

// π comes out of the whole system bit for bit, and its error shrinks as the
// series says: error × π(n+1) tends to 1.
func TestPiConvergesThroughTheWholeSystem(t *testing.T) {
	zookeeper := zkdev.StartT(t)
	registry := zkdev.RegistryT(t, zookeeper, "/pi")
	addrs := make(map[string]bool)
	for range 2 {
		addrs[startServer(t, harness.Options{ZK: zookeeper.Addr(), Root: registry.Root}).Addr] = true
	}
	session, err := NewSession(zookeeper.Addr(), 2*time.Second)
	require.NoError(t, err)
	client := NewClient(NewZKDiscovery(session, registry.Root))
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	require.NoError(t, client.Wait(ctx, 2))

	printed := map[int]string{93: "3.1382045832", 95: "3.13827520401", 99: "3.13840796707"} // in the tutorial
	last, servers := 0.0, make(map[string]bool)
	for _, n := range []int{0, 1, 9, 93, 95, 99, 999, 9_999, 99_999, 999_999, 9_999_999} {
		for range 4 { // whichever server answers
			reply, server, err := client.Call(ctx, "pi", n)
			require.NoError(t, err)
			servers[server] = true
			var pi float64
			require.NoError(t, json.Unmarshal(reply.Result, &pi))
			assert.Equal(t, math.Float64bits(PiSum(n)), math.Float64bits(pi), "bits of pi(%d) from %s", n, server)
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
