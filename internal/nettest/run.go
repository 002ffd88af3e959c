//go:build linux

// The run: three members, three servers and clients on hosts of their own, and
// rounds of faults for as long as you like. Whatever happens, what was promised
// must hold, and in the end nothing may be left.

package nettest

import (
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netlab"
	"example.com/rpcworkbook/internal/proc"
)

var (
	length = flag.Duration("length", 30*time.Second, "how long the network goes on breaking")
	seed   = flag.Uint64("seed", 0, "what its faults follow from; 0: the clock")
)

const (
	session  = 4 * time.Second  // everybody's
	workers  = 2                // of each server
	patience = 30 * time.Second // for what takes a moment on an idle machine
	root     = "/net"

	// What is promised once all is well again.
	listTime = 5 * time.Second           // until the clients' lists are the registry's
	onceTime = session + voteTime        // until each server is registered, once: an earlier session must end
	goneTime = session + 7*time.Second/2 // until a server that can't have a session is not registered any more

	// voteTime is how long the registry may take to miss its leader and to
	// elect another, under whom all sessions begin anew.
	voteTime = 4 * time.Second
)

// A run is one play.
type run struct {
	t     *testing.T
	b     Backend
	began time.Time
	again string // the command that repeats it

	lab     *netlab.Lab
	hosts   []*netlab.Host // the cast
	members []Member
	servers []*server
	clients []*client
	lookout *lookout

	restart sync.WaitGroup // of members
	history history

	// For the report.
	counts  map[*kind]int
	rounds  int
	excused int             // failed calls that weren't promised anything
	broken  int             // failed calls that were
	slowest time.Duration   // of all calls
	listed  []time.Duration // how long it took after each round until lists were right

	mu      sync.Mutex
	changed time.Time             // when the network, or what runs on it, last changed
	dead    map[*netlab.Host]bool // hosts on which nothing runs
	slow    int                   // members with slow disks
	ending  bool                  // servers stop because they are told to
	quorum  string                // who serves, to see whether that has changed
	reaches [serverCount]reaching
	wrong   []string // what didn't hold
}

// A server is one, with the address at which clients find it.
type server struct {
	*harness.Server
	host *netlab.Host
	addr string
}

// Run plays for the time and the seed of the flags -length and -seed. target
// is what make repeats it with.
func (b Backend) Run(t *testing.T, target string) {
	missing := netlab.Missing()
	if missing != "" {
		t.Fatalf("make %s can't run here: %s", target, missing)
	}
	chosen := *seed
	if chosen == 0 {
		chosen = 1 + uint64(time.Now().UnixMilli())%1_000_000
	}
	r := &run{
		t: t, b: b, began: time.Now(), lab: netlab.New(chosen), counts: make(map[*kind]int),
		dead:  make(map[*netlab.Host]bool),
		again: fmt.Sprintf("make %s LENGTH=%v SEED=%d", target, *length, chosen),
	}
	t.Cleanup(func() {
		if t.Failed() {
			fmt.Fprintf(t.Output(), "The same faults again: %s\n", r.again)
		}
	})
	fmt.Fprintf(t.Output(),
		"%s on a network that breaks, for %v. The same faults again: %s\n", b.Name, *length, r.again)

	r.start()
	began := time.Now()
	for plan := newPlan(chosen, b.SlowDisks); time.Since(began) < *length && len(r.complaints()) == 0; {
		r.play(plan.next())
	}
	r.end()
	r.report()
}

func (r *run) everyone() []*netlab.Host    { return r.hosts }
func (r *run) memberHosts() []*netlab.Host { return r.hosts[firstMember:firstServer] }
func (r *run) clientHosts() []*netlab.Host { return r.hosts[firstClient:] }

// start furnishes the network.
func (r *run) start() {
	program := harness.Build(r.t, r.b.Server)
	_, err := proc.TempDir() // its watchdog must not run on one of the hosts
	must(r.t, err)
	r.t.Cleanup(func() {
		if err := r.lab.Close(); err != nil {
			r.t.Error(err)
		}
	})
	for i := range castCount {
		host, err := r.lab.Add(hostName(i))
		must(r.t, err)
		r.hosts = append(r.hosts, host)
	}
	watcher, err := r.lab.Add("watcher")
	must(r.t, err)

	r.members = r.b.Start(r.t, [memberCount]*netlab.Host(r.memberHosts()))
	var addrs []string
	for _, m := range r.members {
		addrs = append(addrs, m.Addr())
	}
	registry := strings.Join(addrs, ",")
	r.logf("%s serves at %s", r.b.Name, registry)

	for i := range serverCount {
		r.startServer(program, registry, r.hosts[firstServer+i])
	}
	r.change(func() {})
	r.lookout = startLookout(r, r.b.Look(r.t, watcher, r.members, root))
	r.waitRegistered(patience)
	for _, host := range r.clientHosts() {
		o := order{Registry: registry, Root: root, Session: session}
		r.clients = append(r.clients, startClient(r.t, host, o, r.logList))
	}
	r.settle()
	r.logf("%d clients with %d callers each have made %d calls; have a look around with\n          %s ss -tn",
		clientCount, callers, r.calls(), r.clients[0].host.Enter())
}

// startServer starts a server on a host. It listens at all the host's
// addresses, so that the harness finds it on 127.0.0.1, which is the host's
// own.
func (r *run) startServer(program, registry string, host *netlab.Host) {
	v := &server{host: host}
	flags := append(r.b.Flags(registry, root, session), "-workers", fmt.Sprint(workers), "-grace", "2s")
	flags = append(flags, "-advertise", host.Addr)
	host.Do(func() {
		v.Server = harness.StartServer(r.t, program, func(_, port string) []string {
			v.addr = net.JoinHostPort(host.Addr, port)
			return append(flags, "0.0.0.0", port)
		}, harness.Options{})
	})
	r.servers = append(r.servers, v)
	r.logf("%s serves at %s: master %d", host.Name, v.addr, v.PID)
}

// play lets the faults of a round happen, and waits until all is well again.
func (r *run) play(next round) {
	r.rounds++
	about := fmt.Sprintf("round %d spares %s", r.rounds, hostName(next.spared))
	if next.faults[0].class == onAll {
		about = fmt.Sprintf("round %d spares nobody", r.rounds)
	}
	r.logf("%s", about)
	type event struct {
		at time.Duration
		do func()
	}

	var events []event
	began := time.Now()
	for _, f := range next.faults {
		events = append(events, event{f.at, func() {
			r.logf("  %v", f)
			r.counts[f.kind]++
			end := f.begin(r, f)
			events = append(events, event{time.Since(began) + f.hold, end})
		}})
	}

	for len(events) > 0 {
		slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
		first := events[0]
		events = events[1:]
		time.Sleep(first.at - time.Since(began)) // by the plan: nothing waits for this
		first.do()
	}

	r.restart.Wait()
	r.settle()
}

// end stops everything, and expects that it ends well.
func (r *run) end() {
	r.logf("the end: does all end well, and leave nothing?")
	r.change(func() { r.ending = true })

	for _, c := range r.clients {
		c.stop(r.t)
	}
	for _, v := range r.servers {
		v.Signal(syscall.SIGTERM)
	}
	for _, v := range r.servers {
		if code := v.Wait(patience); code != 0 {
			r.complain("%s ended with exit code %d", v.host.Name, code)
		}
	}

	r.wait(patience, "nothing registered", func(l look) (bool, string) { return len(l.addrs) == 0, r.names(l.addrs) })
	r.lookout.end()
}
