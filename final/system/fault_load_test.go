// The fault matrix, part load: work that takes long, too much of it, servers
// that are slow or silent, and slow links. The client must be patient without
// making the load worse, and what nobody waits for any more must cost nobody
// anything.

//go:build unix

package system

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
)

// loadTerms returns for which n a server computes pi for about that long, here
// and now, and how much of a processor's time that takes it.
func loadTerms(t *testing.T, s *harness.Server, want time.Duration) (n int, cost time.Duration) {
	t.Helper()
	const sample = 5_000_000
	s.Call(t, "pi", 1000)
	before := s.CPU()
	s.Call(t, "pi", sample)
	took := max(s.CPU()-before, 10*time.Millisecond) // the kernel counts in steps of this
	n = int(min(rpc.MaxPiTerms, sample*int64(want)/int64(took)))
	return n, took * time.Duration(n) / sample
}

// loadCall makes a call with that much patience.
func loadCall(client *rpc.Client, patience time.Duration, method string, params any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _, err := client.Call(ctx, method, params)
	return err
}

// loadThrottle gives a server's processes this share of the time only, and
// returns how to end that.
func loadThrottle(t *testing.T, s *harness.Server, share float64) (end func()) {
	t.Helper()
	const period = 400 * time.Millisecond
	pids := s.Processes(t)
	signal := func(sig syscall.Signal) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, sig)
		}
	}

	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		defer signal(syscall.SIGCONT)
		for {
			for _, turn := range []struct {
				sig  syscall.Signal
				time time.Duration
			}{
				{syscall.SIGSTOP, time.Duration((1 - share) * float64(period))},
				{syscall.SIGCONT, time.Duration(share * float64(period))},
			} {
				signal(turn.sig)
				select {
				case <-time.After(turn.time):
				case <-stop:
					return
				}
			}
		}
	}()

	var once sync.Once
	end = func() {
		once.Do(func() { close(stop) })
		<-done
	}
	t.Cleanup(end)
	return end
}

// Many clients with a long computation each: all are answered, and little is
// computed twice.
func TestFaultLongComputations(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	a, b := startServer(t, harness.Options{Workers: 1}), startServer(t, harness.Options{Workers: 1})
	const calls = 24
	n, cost := loadTerms(t, a, 300*time.Millisecond)

	before := a.CPU() + b.CPU()
	var clients sync.WaitGroup
	for range calls {
		client := srvClient(t, a, b)
		defer client.Close()
		clients.Go(func() { assert.NoError(t, loadCall(client, 60*time.Second, "pi", n)) })
	}
	clients.Wait()

	spent := a.CPU() + b.CPU() - before
	assert.Less(t, spent, (2*calls+calls/2)*cost, "time of processors for %d computations of %v each", calls, cost)
}

// A request, and a reply, that takes longer on its way than a server may be
// silent.
func TestFaultSlowLink(t *testing.T) {
	t.Parallel()
	s := startServer(t, harness.Options{Workers: 1})
	for _, link := range []struct{ bytes, bitsPerSecond int }{{1_000_000, 4_000_000}, {300_000, 1_000_000}} {
		t.Run(fmt.Sprint(link.bytes, " bytes"), func(t *testing.T) {
			t.Parallel()
			proxy := netproxy.StartT(t, s.Addr)
			proxy.Bandwidth(link.bitsPerSecond / 8)
			client := rpc.NewClient(rpc.Static{proxy.Addr()})
			defer client.Close()
			assert.NoError(t, loadCall(client, 60*time.Second, "ping", strings.Repeat("x", link.bytes)))
		})
	}
}

// Three times what the only server can do, for a while, by callers with little
// patience. Soon after the load has ended, calls succeed again: a server that
// first did what was given up would be late for all that come.
func TestFaultOverload(t *testing.T) {
	harness.NeedProc(t)
	s := startServer(t, harness.Options{Workers: 1})
	n, cost := loadTerms(t, s, 50*time.Millisecond)
	client := srvClient(t, s)
	defer client.Close()

	var made, failed atomic.Int64
	var calls sync.WaitGroup
	tick := time.NewTicker(cost / 3)
	defer tick.Stop()
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); {
		made.Add(1)
		calls.Go(func() {
			if loadCall(client, 2*time.Second, "pi", n) != nil {
				failed.Add(1)
			}
		})
		<-tick.C
	}
	calls.Wait()
	require.Greater(t, failed.Load(), made.Load()/4, "calls that failed: else it was no overload")

	began := time.Now()
	for inARow := 0; inARow < 5; inARow++ {
		if loadCall(client, 3*time.Second, "pi", n) != nil {
			inARow = -1
		}
		require.Less(t, time.Since(began), 6*time.Second, "until five calls in a row succeed")
	}
}

// Callers with next to no patience, and long calls, of a server that can hardly
// do anything: what they leave behind is not kept.
func TestFaultImpatientCallers(t *testing.T) {
	s := startServer(t, harness.Options{Workers: 1})
	client := srvClient(t, s)
	defer client.Close()
	require.NoError(t, loadCall(client, patience, "ping", 1))
	loadThrottle(t, s, 0.02)

	params := strings.Repeat("x", 200_000)
	var callers sync.WaitGroup
	end := time.Now().Add(6 * time.Second)
	for range 50 {
		callers.Go(func() {
			for time.Now().Before(end) {
				_ = loadCall(client, 100*time.Millisecond, "ping", params)
			}
		})
	}

	most := uint64(0)
	for time.Now().Before(end) {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		most = max(most, memory.HeapInuse)
		time.Sleep(50 * time.Millisecond)
	}

	callers.Wait()
	assert.Less(t, most, uint64(150<<20), "bytes in use")
}

// One of two servers, or of ten, is so slow that it is hardly there: the others
// do the work. These servers only sleep: how slow the machine is doesn't
// matter.
func TestFaultSlowServer(t *testing.T) {
	const work = 10 * time.Millisecond
	for _, c := range []struct {
		servers int
		share   float64 // of its time, for the slow one
	}{{2, 0.05}, {10, 0.02}} {
		t.Run(fmt.Sprint("one of ", c.servers), func(t *testing.T) {
			t.Parallel()
			var list rpc.Static
			for i := range c.servers {
				takes := work
				if i == 0 {
					takes = time.Duration(float64(work) / c.share)
				}
				list = append(list, harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
					time.Sleep(takes)
					_, err := conn.Write(harness.Frame(`{"out":"pi_r","result":3}`))
					return err
				}).Addr)
			}

			client := rpc.NewClient(list)
			defer client.Close()

			var made, failed atomic.Int64
			var callers sync.WaitGroup
			end := time.Now().Add(10 * time.Second)
			for range 80 {
				callers.Go(func() {
					for time.Now().Before(end) {
						made.Add(1)
						if loadCall(client, 5*time.Second, "pi", 1) != nil {
							failed.Add(1)
						}
					}
				})
			}
			callers.Wait()
			assert.LessOrEqual(t, failed.Load(), made.Load()/100, "failed calls of %d", made.Load())
		})
	}
}

// One of two servers hangs for long, or nothing comes through to it: when that
// is known, nobody's call finds out once more.
func TestFaultServerSilentForLong(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	for name, hang := range map[string]func(t *testing.T, s *harness.Server, p *netproxy.Proxy){
		"frozen": func(t *testing.T, s *harness.Server, _ *netproxy.Proxy) { s.Freeze(s.Processes(t)...) },
		"nothing to it": func(_ *testing.T, _ *harness.Server, p *netproxy.Proxy) {
			p.Partition(netproxy.ToServer)
		},
		"nothing comes back": func(_ *testing.T, _ *harness.Server, p *netproxy.Proxy) {
			p.Partition(netproxy.ToClient)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, bad := startServer(t, harness.Options{Workers: 1}), startServer(t, harness.Options{Workers: 1})
			proxy := netproxy.StartT(t, bad.Addr)
			client := rpc.NewClient(rpc.Static{good.Addr, proxy.Addr()})
			defer client.Close()
			require.NoError(t, client.Wait(t.Context(), 2))

			calls := startPacedCallers(t, client, 10, 20*time.Millisecond)
			calls.waitFor(good.Addr, 20)
			calls.waitFor(proxy.Addr(), 20)
			hang(t, bad, proxy)
			calls.waitEach(3)

			var mu sync.Mutex
			var took []time.Duration
			var callers sync.WaitGroup
			end := time.Now().Add(12 * time.Second)
			for range 10 {
				callers.Go(func() {
					for time.Now().Before(end) {
						began := time.Now()
						assert.NoError(t, loadCall(client, 5*time.Second, "ping", 1))
						mu.Lock()
						took = append(took, time.Since(began))
						mu.Unlock()
						time.Sleep(20 * time.Millisecond) // leave the machine to others
					}
				})
			}
			callers.Wait()
			slow := slices.DeleteFunc(slices.Clone(took), func(d time.Duration) bool { return d < silenceHere/2 })
			assert.LessOrEqual(t, len(slow), len(took)/100, "of %d calls took long: %v", len(took), slow)
			calls.end()
		})
	}
}

// silenceHere is for how long a server may owe replies before the client asks
// another.
const silenceHere = 2 * time.Second

// Nine servers hang, and the way to the tenth takes its time.
func TestFaultMostServersHang(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	ok := startServer(t, harness.Options{Workers: 1})
	proxy := netproxy.StartT(t, ok.Addr)
	proxy.Delay(150 * time.Millisecond)
	hung := startServer(t, harness.Options{Workers: 1})

	list := rpc.Static{proxy.Addr()}
	for range 9 { // as many addresses of the same
		list = append(list, netproxy.StartT(t, hung.Addr).Addr())
	}
	hung.Freeze(hung.Processes(t)...)

	var clients sync.WaitGroup
	for range 10 {
		client := rpc.NewClient(list)
		defer client.Close()
		clients.Go(func() {
			for range 3 {
				assert.NoError(t, loadCall(client, 5*time.Second, "ping", 1))
			}
		})
	}
	clients.Wait()
}
