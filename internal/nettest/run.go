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

// A reaching is what a server can do, and since when.
type reaching struct {
	reach
	since time.Time
	voted time.Time // when the members last had reason to elect a leader
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

// logf adds a line to the log that is shown with -v.
func (r *run) logf(format string, args ...any) {
	fmt.Fprintf(r.t.Output(), "%7.1fs  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// complain notes that something promised didn't hold.
func (r *run) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	r.wrong = append(r.wrong, text)
	r.mu.Unlock()
	r.logf("  NOT AS PROMISED: %s", text)
}

func (r *run) complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.wrong)
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

// impair applies a rule to links until heal is called.
func (r *run) impair(rule netlab.Rule, links ...netlab.Link) (heal func()) {
	var lift func()
	r.change(func() { lift = r.lab.Impair(rule, links...) })
	return func() { r.change(lift) }
}

// change does something to the network, or to what runs on it, and takes down
// what that means.
func (r *run) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := time.Now()
	do()
	after := time.Now()
	r.changed = after

	w := web{rule: r.lab.Rule, alive: func(h *netlab.Host) bool { return !r.dead[h] }}
	for _, c := range r.clientHosts() {
		for _, v := range r.servers {
			r.history.note(c.Name, v.addr, w.clean(c, v.host) && w.alive(v.host), before, after)
		}
	}

	quorum, sure := w.quorum(r.memberHosts())
	now := fmt.Sprint(quorum, sure, r.slow)
	for i, v := range r.servers {
		next := w.reach(v.host, r.memberHosts())
		if r.slow > 0 || r.ending {
			next = unsure
		}
		if now != r.quorum {
			r.reaches[i] = reaching{next, after, after}
		} else if next != r.reaches[i].reach {
			r.reaches[i] = reaching{next, after, r.reaches[i].voted}
		}
	}
	r.quorum = now
}

func (r *run) lastChange() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// reachesNow returns what each server can do at the moment.
func (r *run) reachesNow() [serverCount]reaching {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reaches
}

func (r *run) killServer(host int) {
	v := r.servers[host-firstServer]
	r.change(func() {
		r.dead[v.host] = true
		v.Kill()
	})
}

func (r *run) restartServer(host int) {
	v := r.servers[host-firstServer]
	v.Wait(patience)
	v.Dismiss()
	v.host.Do(func() { v.Server = v.Restart(r.t) })
	r.change(func() { r.dead[v.host] = false })
}

func (r *run) killMember(host int) {
	r.change(func() {
		r.dead[r.hosts[host]] = true
		r.members[host-firstMember].Kill()
	})
}

// restartMember doesn't wait: a member serves when others let it.
func (r *run) restartMember(host int) {
	r.restart.Go(func() {
		if err := r.members[host-firstMember].Restart(); err != nil {
			r.complain("%s: %v", r.hosts[host].Name, err)
		}
		r.change(func() { r.dead[r.hosts[host]] = false })
	})
}

// A diskMember is a Member whose disk can be made slow, see Backend.
type diskMember interface {
	SlowDisk(delay time.Duration) (heal func(), err error)
}

// slowDisks slows down the disks of some members.
func (r *run) slowDisks(f fault, members ...int) (heal func()) {
	var heals []func()
	for _, m := range members {
		heal, err := r.members[m].(diskMember).SlowDisk(time.Duration(f.n) * ms)
		must(r.t, err)
		heals = append(heals, heal)
	}
	r.change(func() { r.slow += len(heals) })
	return func() {
		for _, heal := range heals {
			heal()
		}
		r.change(func() { r.slow -= len(heals) })
	}
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

// settle waits until all is as it should be on a network without faults, and
// complains when that takes longer than was promised.
func (r *run) settle() {
	healed := r.lastChange()
	// The registry may have to elect a leader first.
	served := r.wait(patience, r.b.Name+" answers", func(l look) (bool, string) { return true, "" }).Sub(healed)
	lists := r.wait(patience, "the clients list what is registered, and nothing else", r.listsAre).Sub(healed)
	once := r.waitRegistered(patience).Sub(healed)
	r.wait(patience, "the clients list all servers", r.listsAre)
	for _, c := range r.clients {
		r.waitCalls(c)
	}

	failed, broken := r.judge()
	if r.rounds == 0 {
		return // it was the beginning
	}
	if lists-served > listTime {
		r.complain("the clients' lists were those of %s only %.1fs after it served again",
			r.b.Name, (lists - served).Seconds())
	}
	if once-served > onceTime {
		r.complain("each server had one %s only %.1fs after %s served again",
			r.b.Entry, (once - served).Seconds(), r.b.Name)
	}
	r.listed = append(r.listed, lists)
	r.logf("  %s serves %.1fs after the last fault, lists are right after %.1fs, each server has one %s after %.1fs",
		r.b.Name, served.Seconds(), lists.Seconds(), r.b.Entry, once.Seconds())
	r.logf("  %d calls, the slowest took %.1fs; %d failed, %d of them in spite of a server that was there",
		r.calls(), r.slowestCall().Seconds(), failed, broken)
}

// wait waits until a look at the registry, begun after the last change, says
// what the condition wants, and returns when it began.
func (r *run) wait(within time.Duration, what string, condition func(look) (bool, string)) (at time.Time) {
	r.t.Helper()
	harness.Eventually(r.t, within, what, func() (bool, string) {
		l := r.lookout.last()
		switch {
		case l.err != nil:
			return false, l.err.Error()
		case !l.at.After(r.lastChange()):
			return false, "not looked yet"
		}
		at = l.at
		ok, got := condition(l)
		return ok, got
	})
	return at
}

// waitRegistered waits until each server is registered once, and nobody else.
func (r *run) waitRegistered(within time.Duration) (at time.Time) {
	r.t.Helper()
	var all []string
	for _, v := range r.servers {
		all = append(all, v.addr)
	}
	slices.Sort(all)
	what := fmt.Sprintf("one %s for each server", r.b.Entry)
	return r.wait(within, what, func(l look) (bool, string) { return slices.Equal(l.addrs, all), r.names(l.addrs) })
}

// listsAre tells whether all clients list what a look has found, and know that
// it is so.
func (r *run) listsAre(found look) (ok bool, got string) {
	want := slices.Compact(slices.Clone(found.addrs))
	ok = true
	for _, c := range r.clients {
		c.live(r.t)
		l, any := c.list()
		ok = ok && any && !l.Stale && slices.Equal(l.List, want)
		got += fmt.Sprintf("%s lists %s; ", c.name, r.describe(l))
	}
	return ok, got + "registered is " + r.names(found.addrs)
}

// waitCalls waits until every caller of a client has ended a call that it began
// after now, and every server has answered the client.
func (r *run) waitCalls(c *client) {
	snapshot := func() ([callers]int, []int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var answered []int
		for _, v := range r.servers {
			answered = append(answered, c.answered[v.addr])
		}
		return c.byCaller, answered
	}

	calls, answers := snapshot()
	harness.Eventually(r.t, patience, c.name+" is answered by all servers", func() (bool, string) {
		c.live(r.t)
		ok := true
		calledNow, answersNow := snapshot()
		for i, n := range calledNow {
			ok = ok && n >= calls[i]+2
		}
		for i, n := range answersNow {
			ok = ok && n > answers[i]
		}
		return ok, fmt.Sprintf("calls by caller %v, before %v; answers by server %v, before %v",
			calledNow, calls, answersNow, answers)
	})
}

// judge looks at the calls that have failed since it was called before. It
// returns how many there were, and how many of those were promised to succeed.
func (r *run) judge() (failed, broken int) {
	for _, c := range r.clients {
		failures, lists := c.takeFailures()
		failed += len(failures)

		for _, call := range failures {
			server, ok := r.history.promised(c.name, lists, call.At, call.At.Add(call.Took))
			if !ok {
				continue
			}
			broken++
			r.complain("a call of %s that began at %.1fs and took %.1fs failed, "+
				"though %s could be reached all the time: %s",
				c.name, call.At.Sub(r.began).Seconds(), call.Took.Seconds(), r.names([]string{server}), call.Error)
		}
	}
	r.broken += broken
	r.excused += failed - broken
	return failed, broken
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
