//go:build linux

// The faults: what happens to links, to whole hosts and to disks.

package nettest

import (
	"math/rand/v2"
	"slices"
	"time"

	"example.com/rpcworkbook/internal/netlab"
)

const ms = time.Millisecond

// long is how long a fault must last for sessions to end meanwhile, and for the
// judge to look.
const long = session + 5*time.Second

// longer is the same for what makes members elect a leader.
const longer = long + voteTime

// kinds is the table of faults. It is filled before any test runs, not where
// it is declared: the functions use what uses the table.
var kinds []*kind

func init() {
	kinds = []*kind{
		// Between two hosts.
		{name: "packets dropped one way", says: "nothing from {x} reaches {y} for {for}",
			class: onPair, shortest: 1000 * ms, longest: long, begin: onLinks(netlab.Rule{Drop: true}, oneWay)},
		{name: "packets dropped both ways", says: "nothing passes between {x} and {y} for {for}",
			class: onPair, shortest: 1000 * ms, longest: long, begin: onLinks(netlab.Rule{Drop: true}, bothWays)},
		{name: "packets lost", says: "{n}% of the packets between {x} and {y} get lost for {for}",
			class: onPair, shortest: 2000 * ms, longest: 6000 * ms, least: 5, most: 40, begin: lose},
		{name: "MTU black hole", says: "packets longer than {n} bytes between {x} and {y} get lost for {for}",
			class: onPair, shortest: 2000 * ms, longest: long, least: 300, most: 1400, begin: blackHole},

		// A server and whom it speaks with.
		{name: "server's host vanishes", says: "the host of {x} vanishes, and comes back after {for}",
			class: onServer, shortest: 500 * ms, longest: long, begin: vanishServer},
		{name: "server without clients", says: "{x} reaches the registry and no client, for {for}",
			class: onServer, shortest: 1000 * ms, longest: long, begin: partGroups(clientsOnly)},
		{name: "server without registry", says: "{x} reaches clients and not the registry, for {for}",
			class: onServer, shortest: 1000 * ms, longest: long, begin: partGroups(membersOnly)},
		{name: "server far away", says: "{n} ms from and to {x}, for {for}",
			class: onServer, shortest: 1000 * ms, longest: 5000 * ms, least: 20, most: 200, begin: delay},
		{name: "server with a minority", says: "{x} and {y} reach no other member, for {for}",
			class: onServer, shortest: 1000 * ms, longest: longer, begin: minorityServer},

		// A member of the registry.
		{name: "member's host vanishes", says: "the host of {x} vanishes, and comes back after {for}",
			class: onMember, shortest: 500 * ms, longest: long, begin: vanishMember},
		{name: "member cut off", says: "{x} reaches nobody, for {for}",
			class: onMember, shortest: 1000 * ms, longest: long, begin: partGroups(everybody)},
		{name: "member far away", says: "{n} ms from and to {x}, for {for}",
			class: onMember, shortest: 1000 * ms, longest: 5000 * ms, least: 20, most: 200, begin: delay},
		{name: "member's packets reordered", says: "{n}% of the packets from and to {x} come late, for {for}",
			class: onMember, shortest: 1000 * ms, longest: 5000 * ms, least: 5, most: 40, begin: reorder},
		{name: "member with a slow disk", says: "each write to {x}'s disk takes {n} ms longer, for {for}",
			class: onMember, shortest: 2000 * ms, longest: long, least: 300, most: 1500, disks: true, begin: slowDisk},

		// A client.
		{name: "client without registry", says: "{x} reaches servers and not the registry, for {for}",
			class: onClient, shortest: 1000 * ms, longest: long, begin: partGroups(membersOnly)},
		{name: "client without a server", says: "{x} reaches the registry and not {y}, for {for}",
			class: onClient, shortest: 1000 * ms, longest: long, begin: onLinks(netlab.Rule{Drop: true}, bothWays)},
		{name: "client's packets reordered", says: "{n}% of the packets from and to {x} come late, for {for}",
			class: onClient, shortest: 1000 * ms, longest: 5000 * ms, least: 5, most: 40, begin: reorder},
		{name: "client far away", says: "{n} ms from and to {x}, for {for}",
			class: onClient, shortest: 1000 * ms, longest: 5000 * ms, least: 20, most: 200, begin: delay},

		// The network.
		{name: "all links flapping", says: "all links go down for up to {n} ms again and again, for {for}",
			class: onAll, shortest: 3000 * ms, longest: 8000 * ms, least: 100, most: 300, begin: flap},
		{name: "split", says: "{x}, {y} and a member on one side and all others on the other, for {for}",
			class: onAll, shortest: 2000 * ms, longest: longer, begin: split},
		{name: "minority that holds a client", says: "{x} and a member reach no other member, for {for}",
			class: onAll, shortest: 2000 * ms, longest: long, begin: minorityClient},
		{name: "client cut off", says: "{x} reaches nobody, for {for}",
			class: onAll, shortest: 1000 * ms, longest: 6000 * ms, begin: partGroups(everybody)},
		{name: "all disks slow", says: "each write to any disk of the registry takes {n} ms longer, for {for}; " +
			"{y} starts anew and loses the registry meanwhile",
			class: onAll, shortest: 3000 * ms, longest: long, least: 300, most: 1500, disks: true, begin: slowDisks},
	}
}

// Links of a fault.
func oneWay(r *run, f fault) []netlab.Link {
	return []netlab.Link{{From: r.hosts[f.x], To: r.hosts[f.y]}}
}
func bothWays(r *run, f fault) []netlab.Link {
	return netlab.Between(r.hosts[f.x:f.x+1], r.hosts[f.y:f.y+1])
}

// around are all links of a host.
func around(r *run, host int) []netlab.Link {
	return netlab.Between(r.hosts[host:host+1], r.others(r.everyone(), host))
}

// Groups of hosts.
func clientsOnly(r *run) []*netlab.Host { return r.clientHosts() }
func membersOnly(r *run) []*netlab.Host { return r.memberHosts() }
func everybody(r *run) []*netlab.Host   { return r.everyone() }

func onLinks(rule netlab.Rule, links func(*run, fault) []netlab.Link) func(*run, fault) func() {
	return func(r *run, f fault) func() { return r.impair(rule, links(r, f)...) }
}

func lose(r *run, f fault) func() {
	return r.impair(netlab.Rule{Loss: float64(f.n) / 100}, bothWays(r, f)...)
}

func blackHole(r *run, f fault) func() {
	return r.impair(netlab.Rule{MaxSize: f.n}, bothWays(r, f)...)
}

func delay(r *run, f fault) func() {
	return r.impair(netlab.Rule{Delay: time.Duration(f.n) * ms}, around(r, f.x)...)
}

func reorder(r *run, f fault) func() {
	return r.impair(netlab.Rule{Late: float64(f.n) / 100, LateBy: 30 * ms}, around(r, f.x)...)
}

// partGroups parts a host from a group.
func partGroups(group func(*run) []*netlab.Host) func(*run, fault) func() {
	return func(r *run, f fault) func() {
		return r.impair(netlab.Rule{Drop: true}, netlab.Between(r.hosts[f.x:f.x+1], r.others(group(r), f.x))...)
	}
}

// A vanished host says nothing any more, not even that its connections are
// over.
func vanishServer(r *run, f fault) func() {
	heal := r.impair(netlab.Rule{Drop: true}, around(r, f.x)...)
	r.killServer(f.x)
	return func() {
		heal()
		r.restartServer(f.x)
	}
}

func vanishMember(r *run, f fault) func() {
	heal := r.impair(netlab.Rule{Drop: true}, around(r, f.x)...)
	r.killMember(f.x)
	return func() {
		heal()
		r.restartMember(f.x)
	}
}

// confine parts some hosts and a member from the other members.
func (r *run) confine(member int, hosts ...int) func() {
	inside := []*netlab.Host{r.hosts[member]}
	for _, host := range hosts {
		inside = append(inside, r.hosts[host])
	}
	return r.impair(netlab.Rule{Drop: true}, netlab.Between(inside, r.others(r.memberHosts(), member))...)
}

func minorityServer(r *run, f fault) func() { return r.confine(f.y, f.x) }

func minorityClient(r *run, f fault) func() { return r.confine(aMember(f), f.x) }

// aMember picks a member for a fault that has other hosts.
func aMember(f fault) int { return firstMember + int(f.seed%memberCount) }

func split(r *run, f fault) func() {
	var inside, outside []*netlab.Host
	for i, host := range r.everyone() {
		if i == f.x || i == f.y || i == aMember(f) {
			inside = append(inside, host)
		} else {
			outside = append(outside, host)
		}
	}
	return r.impair(netlab.Rule{Drop: true}, netlab.Between(inside, outside)...)
}

// flap interrupts all links for a moment, again and again.
func flap(r *run, f fault) func() {
	random := rand.New(rand.NewPCG(f.seed, 0))
	all := netlab.Between(r.everyone(), r.everyone())
	stop, done := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(done)
		wait := func(d time.Duration) bool {
			select {
			case <-stop:
				return false
			case <-time.After(d):
				return true
			}
		}
		for again := true; again; {
			up := r.impair(netlab.Rule{Drop: true}, all...)
			again = wait(time.Duration(f.n/2+random.IntN(f.n/2)) * ms)
			up()
			again = again && wait(time.Duration(300+random.IntN(600))*ms)
		}
	}()

	return func() {
		close(stop)
		<-done
	}
}

func slowDisk(r *run, f fault) func() { return r.slowDisks(f, f.x) }

// Registering takes a few writes. Some time in them the server loses sight of
// the registry, which will carry out what it was asked.
func slowDisks(r *run, f fault) func() {
	heal := r.slowDisks(f, 0, 1, 2)
	r.killServer(f.y)
	r.restartServer(f.y)
	time.Sleep(time.Duration(f.seed%uint64(3*f.n)) * ms)
	join := r.impair(netlab.Rule{Drop: true}, netlab.Between(r.hosts[f.y:f.y+1], r.memberHosts())...)
	return func() {
		join()
		heal()
	}
}

// others returns the hosts of a group without one.
func (r *run) others(group []*netlab.Host, one int) []*netlab.Host {
	return slices.DeleteFunc(slices.Clone(group), func(h *netlab.Host) bool { return h == r.hosts[one] })
}
