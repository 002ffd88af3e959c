//go:build linux

package nettest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPlanFollowsFromTheSeed(t *testing.T) {
	text := func(seed uint64) (rounds []string) {
		p := newPlan(seed, true)
		for range 100 {
			r := p.next()
			rounds = append(rounds, fmt.Sprint(r.spared, r.victim, r.faults))
			for _, f := range r.faults {
				rounds = append(rounds, fmt.Sprint(f.at, f.hold, f.seed))
			}
		}
		return rounds
	}
	assert.Equal(t, text(1), text(1))
	assert.NotEqual(t, text(1), text(2))
}

func TestPlanSparesAServerAndAMajority(t *testing.T) {
	dealt := map[*kind]int{}
	for seed := range uint64(200) {
		p := newPlan(seed, true)
		for range 50 {
			r := p.next()
			assert.True(t, isServer(r.spared) && isMember(r.victim), "%+v", r)
			classes := map[class]int{}
			for _, f := range r.faults {
				dealt[f.kind]++
				classes[f.class]++
				assert.NotContains(t, f.String(), "{")
				assert.LessOrEqual(t, f.hold, f.longest)

				switch f.class {
				case onPair:
					assert.True(t, r.mayPart(f.x, f.y), "%v", f)
				default:
					assert.NotContains(t, []int{f.x, f.y}, r.spared, "%v hits the server that is spared", f)
				}
				if f.class == onServer || f.class == onMember {
					assert.Contains(t, []int{f.x, f.y}, r.victim, "%v", f)
				}
			}

			if classes[onAll] > 0 {
				assert.Len(t, r.faults, 1, "a fault of the network, and others")
			}
			for c, n := range classes {
				assert.Equal(t, 1, n, "faults of class %d", c)
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

func TestWhatMayBeParted(t *testing.T) {
	const m1, m2, m3, a, b, client, other = 0, 1, 2, 3, 4, 6, 7
	r := round{spared: a, victim: m1}
	for _, c := range []struct {
		x, y int
		may  bool
	}{
		{m1, m2, true}, {m2, m1, true}, {m2, m3, false}, {m1, m1, false}, // a majority stays together
		{a, m1, true}, {a, m2, false}, {m3, a, false}, {b, m2, true}, // and with the server that is spared
		{client, a, false}, {a, client, false}, {client, b, true}, // as do all clients
		{client, m2, true}, {m3, client, true},
		{a, b, false}, {client, other, false}, // they have nothing to say to each other
	} {
		assert.Equal(t, c.may, r.mayPart(c.x, c.y), "%s and %s", hostName(c.x), hostName(c.y))
	}
}
