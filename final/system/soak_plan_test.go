// The plan of a soak: which faults come when, to whom and for how long. It
// follows from the seed alone, however the calls go, so that a soak can be
// repeated.
//
// Which faults may meet? The client promises that an idempotent call with 5 s
// succeeds as long as one server that it lists is serving; that is, one and the
// same for the whole life of the call. So faults come in rounds:
//
//   - A round spares one server. Nothing happens to it that ends its
//     connections, keeps its replies or takes it off the list. To the other
//     two anything may happen, to both at once.
//   - A round ends when all is healed and every client lists all servers and
//     has answers from each. Then each caller must come to the end of a call
//     that it began after that. So no call has suffered from two rounds, of
//     which each may spare another server.
//   - What happens to ZooKeeper, or between it and the clients, comes on top:
//     the clients keep their list. Only when it ends the servers' sessions, the
//     one spared leaves the list, too. Such an outage comes to servers that are
//     all well: those listed again first are serving, and until there is one
//     the clients don't believe the empty list.
//   - Guests are strangers at a server's door. Nobody should notice them, so
//     the server spared may have some.

//go:build unix

package system

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A class of faults is defined by what it may meet, see above.
type class int

const (
	onServer class = iota
	onRegistry
	outage
	guests
	classes
)

// A kind is a row of the table of faults.
type kind struct {
	name  string // for the count at the end
	says  string // for the log; {who}, {for} and {n} stand for the server, the length and the number
	class class

	shortest, longest time.Duration // 0: it has no length
	least, most       int           // 0: it has no number

	asksZooKeeper  bool // it must have answers from ZooKeeper
	stopsZooKeeper bool // there are none while it lasts

	begin func(s *soak, f fault) (end func()) // nil: there is nothing to end
}

// A fault is one thing that goes wrong.
type fault struct {
	*kind
	server int           // whom it hits
	at     time.Duration // when, since the round began
	hold   time.Duration // for how long
	n      int
}

// A round is what goes wrong at about the same time.
type round struct {
	spared int // a server
	faults []fault
}

const (
	soakServers = 3
	soakWorkers = 3
	latestFault = 1500 * time.Millisecond // after the beginning of its round
)

// A plan deals rounds.
type plan struct {
	rng   *rand.Rand
	decks [classes][]*kind
}

func newPlan(seed uint64) *plan { return &plan{rng: rand.New(rand.NewPCG(seed, 0))} }

// next returns the next round. There is no last one.
func (p *plan) next() round {
	r := round{spared: p.rng.IntN(soakServers)}
	if p.rng.IntN(5) == 0 {
		p.add(&r, outage, 0)
	} else {
		victims := slices.DeleteFunc(p.rng.Perm(soakServers), func(i int) bool { return i == r.spared })
		p.add(&r, onServer, victims[0])
		if p.rng.IntN(4) > 0 {
			p.add(&r, onServer, victims[1])
		}
		if p.rng.IntN(2) == 0 {
			p.add(&r, onRegistry, 0)
		}
	}

	if p.rng.IntN(2) == 0 {
		p.add(&r, guests, p.rng.IntN(soakServers))
	}

	slices.SortFunc(r.faults, func(a, b fault) int { return int(a.at - b.at) })
	return r
}

// add adds a fault of that class to the round, the next one from its deck that
// goes with those in the round. Every kind comes once before one comes again.
func (p *plan) add(r *round, c class, server int) {
	fits := func(k *kind) bool {
		return !slices.ContainsFunc(r.faults, func(f fault) bool {
			return f.stopsZooKeeper && k.asksZooKeeper || f.asksZooKeeper && k.stopsZooKeeper
		})
	}

	deck := &p.decks[c]
	i := slices.IndexFunc(*deck, fits)
	if i < 0 {
		fresh := slices.DeleteFunc(slices.Clone(kinds), func(k *kind) bool { return k.class != c })
		p.rng.Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
		*deck = append(*deck, fresh...)
		i = slices.IndexFunc(*deck, fits)
	}

	k := (*deck)[i]
	*deck = slices.Delete(*deck, i, i+1)
	r.faults = append(r.faults, fault{
		kind: k, server: server,
		at:   time.Duration(p.rng.Int64N(int64(latestFault))),
		hold: k.shortest + time.Duration(p.rng.Int64N(int64(k.longest-k.shortest)+1)).Round(100*time.Millisecond),
		n:    k.least + p.rng.IntN(k.most-k.least+1),
	})
}

// String says what happens, as the log does.
func (f fault) String() string {
	return strings.NewReplacer(
		"{who}", serverName(f.server),
		"{for}", fmt.Sprintf("%.1fs", f.hold.Seconds()),
		"{n}", fmt.Sprint(f.n),
	).Replace(f.says)
}

func serverName(i int) string { return string(rune('A' + i)) }

func TestPlanOfTheSoakFollowsFromTheSeed(t *testing.T) {
	text := func(seed uint64) (rounds []string) {
		p := newPlan(seed)
		for range 100 {
			r := p.next()
			rounds = append(rounds, fmt.Sprint(r.spared, r.faults))
		}
		return rounds
	}
	assert.Equal(t, text(1), text(1))
	assert.NotEqual(t, text(1), text(2))
}

func TestPlanOfTheSoakKeepsToThePromise(t *testing.T) {
	dealt := map[*kind]int{}
	for seed := range uint64(200) {
		p := newPlan(seed)
		for range 50 {
			r := p.next()
			hit, count := map[int]int{}, map[class]int{}
			stops, asks := false, false
			for _, f := range r.faults {
				dealt[f.kind]++
				count[f.class]++
				if f.class == onServer {
					hit[f.server]++
				}
				stops, asks = stops || f.stopsZooKeeper, asks || f.asksZooKeeper
				assert.NotContains(t, f.String(), "{")
				assert.LessOrEqual(t, f.hold, f.longest)
			}

			assert.Zero(t, hit[r.spared], "%v: faults on the server spared", r.faults)
			for server, n := range hit {
				assert.Equal(t, 1, n, "%v: faults on %s", r.faults, serverName(server))
			}
			assert.False(t, stops && asks, "%v: a request to a ZooKeeper that is stopped", r.faults)
			if count[outage] > 0 {
				assert.Zero(t, count[onServer]+count[onRegistry], "%v: an outage, and more", r.faults)
			} else {
				assert.Positive(t, count[onServer], "%v", r.faults)
			}
		}

		if t.Failed() {
			return
		}
	}

	for _, k := range kinds {
		assert.Positive(t, dealt[k], "%s, ever", k.name)
	}
}
