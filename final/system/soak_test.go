// The soak: three servers, fifty callers, and faults at random for as long as
// you like. No call may fail, and in the end all must be as it was in the
// beginning. Run it with make soak, and watch.

//go:build unix

package system

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

var (
	soakLength = flag.Duration("length", 30*time.Second, "how long the soak goes on causing faults")
	soakSeed   = flag.Uint64("seed", 0, "what the soak's faults follow from; 0: the clock")
)

const (
	soakClients    = 5
	callersEach    = 10                    // of each client
	callersPause   = 10 * time.Millisecond // the servers' machine is ours, too
	recoveryTime   = 3 * patience          // for everything to be well again, on a busy machine
	callsToWarmUp  = 20                    // of each caller
	failuresToShow = 10
)

// A soak is one run.
type soak struct {
	t     *testing.T
	began time.Time

	// The system.
	zookeeper *zkdev.Server
	registry  *zktest.Registry
	servers   []*soakServer
	clients   []*soakClient
	gate      *zktest.Gate // the clients' way to ZooKeeper

	// What came of it.
	counts map[*kind]int
	rounds int
	slow   time.Duration // the slowest call took so long
}

// A soakServer is a server with the ways that lead to and from it.
type soakServer struct {
	*harness.Server
	name string
	addr string          // the Server's; this one never changes
	gate *zktest.Gate    // from it to ZooKeeper
	link *netproxy.Proxy // from the clients to it
}

// A soakClient is a client with its callers, who take links for servers.
type soakClient struct {
	*callers
	list *detour
}

func TestSoak(t *testing.T) {
	harness.NeedProc(t)
	seed := *soakSeed
	if seed == 0 {
		seed = 1 + uint64(time.Now().UnixMilli())%1_000_000
	}
	again := fmt.Sprintf("make soak LENGTH=%v SEED=%d", *soakLength, seed)
	t.Cleanup(func() {
		if t.Failed() {
			fmt.Fprintf(t.Output(), "The same faults again: %s\n", again)
		}
	})
	fmt.Fprintf(t.Output(), "A soak of %v. The same faults again: %s\n", *soakLength, again)

	// The library logs to the standard logger what the list says, too.
	defer slog.SetLogLoggerLevel(slog.SetLogLoggerLevel(slog.LevelError))
	s := newSoak(t)
	s.startServers()
	apart := s.measureOurselves("without clients")
	s.startClients()
	together := append(s.measureServers(), s.measureOurselves("with clients")...)

	began := time.Now()
	for plan := newPlan(seed); time.Since(began) < *soakLength && s.failed() == 0; {
		s.play(plan.next())
	}

	s.logf("the end: is all as it was in the beginning?")
	s.dropStuck()
	s.registry.Wait(recoveryTime, "one znode for each server", func(nodes []zktest.Node) bool {
		return len(nodes) == soakServers
	})
	s.wantBack(together, func() []figure { return append(s.measureServers(), s.measureOurselves("with clients")...) })
	s.endClients()
	s.wantBack(apart, func() []figure { return s.measureOurselves("without clients") })
	s.endServers()
	s.report()
}

func newSoak(t *testing.T) *soak {
	s := &soak{t: t, zookeeper: zktest.Start(t), counts: make(map[*kind]int)}
	s.registry = zktest.NewRegistry(t, s.zookeeper, "/soak")
	s.gate = zktest.NewGate(t, s.zookeeper)
	s.began = time.Now()
	return s
}

// logf adds a line to the log that is shown with -v.
func (s *soak) logf(format string, args ...any) {
	fmt.Fprintf(s.t.Output(), "%7.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

func (s *soak) startServers() {
	for i := range soakServers {
		v := &soakServer{name: serverName(i), gate: zktest.NewGate(s.t, s.zookeeper)}
		v.Server = startServer(s.t, harness.Options{
			Workers: soakWorkers, ZK: v.gate.Addr(), Root: s.registry.Root, Session: soakSession,
			Grace: 2 * time.Second,
		})
		v.addr, v.link = v.Addr, netproxy.StartT(s.t, v.Addr)
		s.servers = append(s.servers, v)
		s.logf("%s serves at %s: master %d, workers %v", v.name, v.Addr, v.PID,
			v.WaitWorkers(s.t, patience, soakWorkers))
	}
	s.waitRegistered()
}

func (s *soak) startClients() {
	through := make(map[string]string)
	for _, v := range s.servers {
		through[v.Addr] = v.link.Addr()
	}

	for range soakClients {
		session, err := rpc.NewSession(s.gate.Addr(), soakSession)
		require.NoError(s.t, err)
		list := &detour{Discovery: rpc.NewZKDiscovery(session, s.registry.Root), through: through}
		if len(s.clients) == 0 {
			list.published = s.logList
		}

		client := rpc.NewClient(list)
		s.t.Cleanup(client.Close)
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		require.NoError(s.t, client.Wait(ctx, soakServers))
		cancel()
		s.clients = append(s.clients,
			&soakClient{startCallersOf(s.t, client, callersEach, callersPause, soakRequest), list})
	}

	for _, c := range s.clients {
		c.waitEach(callsToWarmUp)
	}
	s.settle()
	s.logf("%d clients with %d callers each have made %d calls", soakClients, callersEach, s.calls())
}

// longest is what pi of the most terms is, some tenths of a second of
// computing.
var longest = sync.OnceValue(func() string {
	raw, _ := json.Marshal(rpc.PiSum(rpc.MaxPiTerms))
	return string(raw)
})

// soakRequest is request, with some calls that take their time: one caller of
// each client uploads as much as a call may have now and then, and another has
// the longest computation done that there is.
func soakRequest(caller, i int) (method string, params any, want string) {
	switch {
	case caller == 0 && i%400 == 50:
		text := fmt.Sprintf("call %d%*d", i, 1_000_000, i)
		raw, _ := json.Marshal(text)
		return "ping", text, string(raw)
	case caller == 1 && i%400 == 350:
		return "pi", rpc.MaxPiTerms, longest()
	}
	return request(caller, i)
}

// play lets the faults of a round happen, and waits until all is well again.
func (s *soak) play(r round) {
	s.rounds++
	s.logf("round %d spares %s", s.rounds, serverName(r.spared))
	type event struct {
		at time.Duration
		do func()
	}

	var events []event
	began := time.Now()
	for _, f := range r.faults {
		events = append(events, event{f.at, func() {
			s.logf("  %v", f)
			s.counts[f.kind]++
			if end := f.begin(s, f); end != nil {
				events = append(events, event{time.Since(began) + f.hold, end})
			}
		}})
	}

	for len(events) > 0 {
		slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
		next := events[0]
		events = events[1:]
		time.Sleep(next.at - time.Since(began)) // by the plan: nothing waits for this
		next.do()
	}

	healed := time.Now()
	s.settle()
	s.logf("  all is well %.1fs after the last fault; %d calls, %d failed, the slowest took %.1fs",
		time.Since(healed).Seconds(), s.calls(), s.failed(), s.slowest().Seconds())
}

// settle waits until all servers are registered, listed by all clients and
// answer them, and then until every caller has ended a call that it began
// after that.
func (s *soak) settle() {
	for _, v := range s.servers {
		v.WaitWorkers(s.t, recoveryTime, soakWorkers)
	}
	s.waitRegistered()

	for i, c := range s.clients {
		expected := fmt.Sprintf("client %d lists all servers, and no other", i)
		harness.Eventually(s.t, recoveryTime, expected, func() (bool, string) {
			list := c.list.last()
			return !list.Stale && s.names(list) == "A B C", s.describe(list)
		})
	}

	for _, c := range s.clients {
		for _, v := range s.servers {
			c.waitFor(v.link.Addr(), 1)
		}
	}
	for _, c := range s.clients {
		c.waitEach(2)
	}
}

// waitRegistered waits until every server has a znode of a session that is
// connected. Those of its earlier sessions may be there, too.
func (s *soak) waitRegistered() {
	s.registry.Wait(recoveryTime, "every server in a session that is connected", func(nodes []zktest.Node) bool {
		connections, err := s.zookeeper.FourLetter("cons")
		return err == nil && !slices.ContainsFunc(s.servers, func(v *soakServer) bool {
			return !slices.ContainsFunc(nodes, func(n zktest.Node) bool {
				return n.Addr() == v.Addr && strings.Contains(connections, fmt.Sprintf("sid=%#x,", n.Session))
			})
		})
	})
}

// dropStuck resets all connections to ZooKeeper. Some may lead nowhere: one
// that was made while ZooKeeper started is never answered, and not closed
// either when its client has left, so that the gate keeps it for ever.
func (s *soak) dropStuck() {
	s.gate.Reset()
	for _, v := range s.servers {
		v.gate.Reset()
	}
	s.settle()
}

func (s *soak) calls() (n int64) {
	for _, c := range s.clients {
		for i := range c.calls {
			n += c.calls[i].Load()
		}
	}
	return n
}

func (s *soak) failed() (n int) {
	for _, c := range s.clients {
		c.mu.Lock()
		n += len(c.failures)
		c.mu.Unlock()
	}
	return n
}

// slowest returns how long the slowest call took since it was asked before.
func (s *soak) slowest() (d time.Duration) {
	for _, c := range s.clients {
		c.mu.Lock()
		d = max(d, c.slowest)
		c.slowest = 0
		c.mu.Unlock()
	}
	s.slow = max(s.slow, d)
	return d
}

func (s *soak) endClients() {
	var failures []string
	for i, c := range s.clients {
		c.stopAll()
		c.client.Close()
		for _, failure := range c.failures {
			failures = append(failures,
				fmt.Sprintf("client %d, whose callers began at %.1fs, %s", i, c.began.Sub(s.began).Seconds(), failure))
		}
	}
	assert.Empty(s.t, failures[:min(len(failures), failuresToShow)], "failed calls, %d in all", len(failures))
}

// endServers expects that the servers leave nothing behind.
func (s *soak) endServers() {
	for _, v := range s.servers {
		v.Signal(syscall.SIGTERM)
	}
	for _, v := range s.servers {
		assert.Zero(s.t, v.Wait(patience), "exit code of %s\n%s", v.name, v.Stderr())
		v.Dismiss()
	}
	s.registry.WaitNone(recoveryTime)
}

// A detour is a Discovery that leads calls through the links.
type detour struct {
	rpc.Discovery
	through   map[string]string  // link by server
	published func(rpc.Snapshot) // called with every list; or nil

	mu   sync.Mutex
	list rpc.Snapshot
}

// Watch implements Discovery.
func (d *detour) Watch(ctx context.Context, publish func(rpc.Snapshot)) {
	d.Discovery.Watch(ctx, func(list rpc.Snapshot) {
		led := list
		led.Servers = slices.Clone(list.Servers)
		for i, addr := range led.Servers {
			if link, ok := d.through[addr]; ok {
				led.Servers[i] = link
			}
		}

		publish(led)
		d.mu.Lock()
		d.list = list
		d.mu.Unlock()
		if d.published != nil {
			d.published(list)
		}
	})
}

func (d *detour) last() rpc.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.list
}

// logList logs what a client lists.
func (s *soak) logList(list rpc.Snapshot) { s.logf("            the list: %s", s.describe(list)) }

func (s *soak) describe(list rpc.Snapshot) string {
	text := s.names(list)
	if list.Stale {
		text += ", as last heard from ZooKeeper"
	}
	return text
}

// names returns the names of those listed, and how many have none.
func (s *soak) names(list rpc.Snapshot) string {
	var names []string
	for _, v := range s.servers {
		if slices.Contains(list.Servers, v.addr) {
			names = append(names, v.name)
		}
	}

	if others := len(list.Servers) - len(names); others > 0 {
		names = append(names, fmt.Sprintf("and %d others", others))
	}
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, " ")
}
