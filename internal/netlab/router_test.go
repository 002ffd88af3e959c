// Tests of rules and of the router, with ports that are no devices: they run on
// every system, for everybody.

package netlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const soon = 10 * time.Second

// A jack is a port in whose host a test sits.
type jack struct {
	sends    chan []byte
	receives chan []byte
}

func newJack() *jack { return &jack{sends: make(chan []byte), receives: make(chan []byte, 1000)} }

func (j *jack) Read(p []byte) (int, error) {
	sent, ok := <-j.sends
	if !ok {
		return 0, errors.New("unplugged")
	}
	return copy(p, sent), nil
}

func (j *jack) Write(p []byte) (int, error) {
	j.receives <- append([]byte(nil), p...)
	return len(p), nil
}

// next returns the mark of the packet that arrives next.
func (j *jack) next(t *testing.T) byte {
	t.Helper()
	select {
	case p := <-j.receives:
		return p[20]
	case <-time.After(soon):
		require.Fail(t, "no packet")
		return 0
	}
}

// to makes a packet for the host at a port, with a mark.
func to(port int, mark byte, size int) []byte {
	p := make([]byte, size)
	p[0] = 0x45
	copy(p[16:], []byte{198, 18, 0, byte(port + 1)})
	p[20] = mark
	return p
}

// plugged returns a router with three ports, until the end of the test.
func plugged(t *testing.T, seed uint64) (*router, []*jack) {
	r := newRouter(seed)
	var jacks []*jack
	for range 3 {
		j := newJack()
		_, gone := r.plug(j)
		t.Cleanup(func() {
			close(j.sends)
			<-gone
		})
		jacks = append(jacks, j)
	}
	t.Cleanup(r.end)
	return r, jacks
}

func TestRouterHandsPacketsToWhomTheyAreFor(t *testing.T) {
	r, jacks := plugged(t, 1)
	jacks[0].sends <- to(1, 'b', 100)
	jacks[0].sends <- to(2, 'c', MTU)
	jacks[2].sends <- to(0, 'a', 21)
	assert.EqualValues(t, 'b', jacks[1].next(t))
	assert.EqualValues(t, 'c', jacks[2].next(t))
	assert.EqualValues(t, 'a', jacks[0].next(t))

	// What is for nobody here, is no IPv4 or no packet at all.
	elsewhere := to(1, '!', 100)
	elsewhere[16] = 10
	six := to(1, '!', 100)
	six[0] = 0x60
	for _, p := range [][]byte{elsewhere, six, {0x45}, to(7, '!', 100), to(0, '!', 100)} {
		jacks[0].sends <- p
	}
	jacks[0].sends <- to(1, 'd', 100)
	assert.EqualValues(t, 'd', jacks[1].next(t))
	assert.EqualValues(t, 4, r.passed.Load())
}

func TestRouterDropsOneWay(t *testing.T) {
	r, jacks := plugged(t, 1)
	heal := r.impair(Rule{Drop: true}, direction{0, 1})
	jacks[0].sends <- to(1, '!', 100)
	jacks[1].sends <- to(0, 'a', 100)
	assert.EqualValues(t, 'a', jacks[0].next(t), "the way back is another")

	heal()
	heal()
	jacks[0].sends <- to(1, 'b', 100)
	assert.EqualValues(t, 'b', jacks[1].next(t))
}

func TestImpairmentsAddUpAndEndOneByOne(t *testing.T) {
	r := newRouter(1)
	t.Cleanup(r.end)
	way, other := direction{0, 1}, direction{1, 0}
	rule := func(d direction) Rule { _, rule := r.look(d); return rule }
	r.plug(newJack())
	r.plug(newJack())

	slow := r.impair(Rule{Delay: time.Second, Loss: 0.5}, way, other)
	small := r.impair(Rule{MaxSize: 1000, Loss: 0.5}, way)
	smaller := r.impair(Rule{MaxSize: 500, Late: 0.5, LateBy: time.Second}, way)
	assert.Equal(t, Rule{Delay: time.Second, Loss: 0.75, MaxSize: 500, Late: 0.5, LateBy: time.Second}, rule(way))
	assert.Equal(t, Rule{Delay: time.Second, Loss: 0.5}, rule(other))
	smaller()
	assert.Equal(t, 1000, rule(way).MaxSize)
	slow()
	assert.Equal(t, Rule{MaxSize: 1000, Loss: 0.5}, rule(way))
	small()
	assert.Zero(t, rule(way))
	assert.Zero(t, rule(other))
}

func TestRouterLosesWhatIsTooLong(t *testing.T) {
	r, jacks := plugged(t, 1)
	r.impair(Rule{MaxSize: 600}, direction{0, 1})
	jacks[0].sends <- to(1, '!', 601)
	jacks[0].sends <- to(1, 'b', 600)
	assert.EqualValues(t, 'b', jacks[1].next(t))
}

func TestRouterDelaysAndKeepsTheOrder(t *testing.T) {
	r, jacks := plugged(t, 1)
	const delay = 50 * time.Millisecond
	r.impair(Rule{Delay: delay}, direction{0, 1})
	began := time.Now()
	for mark := range byte(100) {
		jacks[0].sends <- to(1, mark, 100)
	}
	for mark := range byte(100) {
		assert.Equal(t, mark, jacks[1].next(t))
	}
	assert.GreaterOrEqual(t, time.Since(began), delay)
}

func TestRouterLetsSomeComeLater(t *testing.T) {
	r, jacks := plugged(t, 1)
	r.impair(Rule{Late: 0.3, LateBy: 100 * time.Millisecond}, direction{0, 1})
	for mark := range byte(100) {
		jacks[0].sends <- to(1, mark, 100)
	}

	seen, behind := make(map[byte]bool), 0
	for last := byte(0); len(seen) < 100; {
		mark := jacks[1].next(t)
		seen[mark] = true
		if mark < last {
			behind++
		}
		last = mark
	}

	assert.Positive(t, behind)
}

// What happens to the n-th packet of a link follows from the seed.
func TestRouterRepeatsItself(t *testing.T) {
	arrive := func(seed uint64) (marks []byte) {
		r, jacks := plugged(t, seed)
		r.impair(Rule{Loss: 0.5}, direction{0, 1})
		for mark := range byte(200) {
			jacks[0].sends <- to(1, mark, 100)
		}
		jacks[0].sends <- to(2, 'e', 100) // by then all others have been carried
		assert.EqualValues(t, 'e', jacks[2].next(t))
		for range len(jacks[1].receives) {
			marks = append(marks, jacks[1].next(t))
		}
		return marks
	}
	first := arrive(1)
	assert.InDelta(t, 100, len(first), 50)
	assert.Equal(t, first, arrive(1))
	assert.NotEqual(t, first, arrive(2))
}

func TestEachPacketDrawsAsMuch(t *testing.T) {
	for _, rule := range []Rule{{}, {Drop: true}, {Loss: 1}, {Late: 1}, {MaxSize: 1}} {
		random, same := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(1, 1))
		rule.fate(100, random)
		_, _ = same.Float64(), same.Float64()
		assert.Equal(t, same.Uint64(), random.Uint64(), "after %v", rule)
	}
}

func TestRuleInWords(t *testing.T) {
	assert.Equal(t, "lets all pass", fmt.Sprint(Rule{}))
	assert.Equal(t, "loses 20%, delays by 1s", fmt.Sprint(Rule{Loss: 0.2, Delay: time.Second}))
	assert.True(t, Rule{MaxSize: 1}.Loses())
	assert.False(t, Rule{Delay: 1}.Loses())
}
