//go:build linux

// The plan: a seed and the table of faults give a sequence of rounds. In each,
// one server is spared, and all members but one of the registry: every client
// can reach that server, and that server a majority, unless the fault is the
// whole network's.

package nettest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	memberCount = 3
	serverCount = 3
	clientCount = 2
	latestFault = 1500 * time.Millisecond // after the beginning of its round
)

// A class is what kinds of faults are dealt for together.
type class int

const (
	onPair   class = iota // the links between two hosts
	onServer              // one server
	onMember              // one member of the registry
	onClient              // one client
	onAll                 // the network as a whole; there is no other fault in the round
	classes  = 5
)

// A kind is one row of the table of faults.
type kind struct {
	name  string // for the count at the end
	says  string // for the log; {x}, {y}, {for} and {n} stand for hosts, the length and the number
	class class

	shortest, longest time.Duration
	least, most       int // 0: it has no number

	disks bool // it takes members whose disks can be made slow

	begin func(r *run, f fault) (end func())
}

// A fault is one thing that goes wrong.
type fault struct {
	*kind
	x, y int // hosts, by their numbers in the cast; y of a pair only, and of what concerns a member besides

	at   time.Duration // when, since the round began
	hold time.Duration // for how long
	n    int
	seed uint64 // of what is random in the fault itself
}

// A round is what goes wrong at about the same time.
type round struct {
	spared int // a server
	victim int // the one member that faults may hit
	faults []fault
}

// The cast, by numbers: members, servers, clients.
const (
	firstMember = 0
	firstServer = firstMember + memberCount
	firstClient = firstServer + serverCount
	castCount   = firstClient + clientCount
)

// hostName is how the log calls a host.
func hostName(i int) string {
	switch {
	case i < firstServer:
		return fmt.Sprintf("m%d", 1+i-firstMember)
	case i < firstClient:
		return string(rune('A' + i - firstServer))
	}
	return fmt.Sprintf("client%d", 1+i-firstClient)
}

func isMember(i int) bool { return i < firstServer }
func isServer(i int) bool { return i >= firstServer && i < firstClient }
func isClient(i int) bool { return i >= firstClient }

// A plan deals rounds.
type plan struct {
	rng   *rand.Rand
	disks bool // can be made slow
	decks [classes][]*kind
}

func newPlan(seed uint64, disks bool) *plan {
	return &plan{rng: rand.New(rand.NewPCG(seed, 0)), disks: disks}
}

// next returns the next round. There is no last one.
func (p *plan) next() round {
	r := round{spared: firstServer + p.rng.IntN(serverCount), victim: firstMember + p.rng.IntN(memberCount)}
	if p.rng.IntN(3) == 0 {
		p.add(&r, onAll)
		return r
	}

	for _, c := range p.rng.Perm(int(onAll))[:1+p.rng.IntN(3)] {
		p.add(&r, class(c))
	}
	slices.SortFunc(r.faults, func(a, b fault) int { return int(a.at - b.at) })
	return r
}

// add adds a fault of that class to the round. Every kind comes once before one
// comes again.
func (p *plan) add(r *round, c class) {
	deck := &p.decks[c]
	if len(*deck) == 0 {
		*deck = slices.DeleteFunc(slices.Clone(kinds), func(k *kind) bool {
			return k.class != c || k.disks && !p.disks
		})
		p.rng.Shuffle(len(*deck), func(i, j int) { (*deck)[i], (*deck)[j] = (*deck)[j], (*deck)[i] })
	}
	k := (*deck)[0]
	*deck = (*deck)[1:]

	f := fault{
		kind: k,
		at:   time.Duration(p.rng.Int64N(int64(latestFault))),
		hold: k.shortest + time.Duration(p.rng.Int64N(int64(k.longest-k.shortest)+1)).Round(100*time.Millisecond),
		n:    k.least + p.rng.IntN(k.most-k.least+1),
		seed: p.rng.Uint64(),
	}
	f.x, f.y = p.hosts(*r, c)
	r.faults = append(r.faults, f)
}

// hosts picks whom a fault hits.
func (p *plan) hosts(r round, c class) (x, y int) {
	other := firstServer + (r.spared-firstServer+1+p.rng.IntN(serverCount-1))%serverCount
	client := firstClient + p.rng.IntN(clientCount)
	switch c {
	case onServer:
		return other, r.victim
	case onMember:
		return r.victim, 0
	case onClient:
		return client, other
	case onAll:
		return client, other
	}

	for {
		x, y = p.rng.IntN(castCount), p.rng.IntN(castCount)
		if r.mayPart(x, y) {
			return x, y
		}
	}
}

// mayPart tells whether the links between two hosts may be hit: what is spared
// stays whole, and they have something to say to each other.
func (r round) mayPart(x, y int) bool {
	between := func(one, other func(int) bool) bool { return one(x) && other(y) || one(y) && other(x) }
	hits := func(host int) bool { return x == host || y == host }
	switch {
	case x == y:
		return false
	case between(isMember, isMember):
		return hits(r.victim)
	case between(isServer, isMember):
		return hits(r.victim) || !hits(r.spared)
	case between(isClient, isServer):
		return !hits(r.spared)
	}
	return between(isClient, isMember)
}

// String says what happens, as the log does.
func (f fault) String() string {
	return strings.NewReplacer(
		"{x}", hostName(f.x), "{y}", hostName(f.y),
		"{for}", fmt.Sprintf("%.1fs", f.hold.Seconds()),
		"{n}", fmt.Sprint(f.n),
	).Replace(f.says)
}
