//go:build linux

package nettest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/netlab"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a moment, in seconds.
func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

func TestWhichCallsArePromised(t *testing.T) {
	var h history
	bad := func(server string, from, to float64) {
		h.note("c", server, false, at(from), at(from+0.1))
		h.note("c", server, false, at(from+0.1), at(from+0.1)) // what is broken already
		if to > 0 {
			h.note("c", server, true, at(to-0.1), at(to))
			h.note("c", server, true, at(to), at(to))
		}
	}

	bad("A", 10, 20)
	bad("A", 30, 30.3) // a blink
	bad("B", 15, 0)    // for ever
	lists := []line{
		{At: at(1), List: []string{"A", "B"}},
		{At: at(40), List: []string{"B"}},
		{At: at(50), List: []string{"A", "B"}},
	}

	for _, c := range []struct {
		from, to float64
		server   string
	}{
		{2, 7, "A"},
		{6, 11, "B"},
		{11, 16, ""}, // B breaks meanwhile
		{16, 21, ""}, // A has been well for a second only
		{20.1, 25, "A"},
		{28, 33, "A"}, // in spite of the blink
		{36, 41, ""},  // A has left the list
		{41, 42, ""},
		{49, 54, ""}, // it wasn't there when the call began
		{51, 56, "A"},
		{0, 5, ""}, // the list was unknown
	} {
		server, ok := h.promised("c", lists, at(c.from), at(c.to))
		assert.Equal(t, c.server, server, "from %v to %v", c.from, c.to)
		assert.Equal(t, c.server != "", ok)
	}

	_, ok := h.promised("somebody else", lists, at(11), at(16))
	assert.True(t, ok)
}

// A chart is a network of which the judge knows what is cut and what is lossy.
type chart map[[2]*netlab.Host]netlab.Rule

func (c chart) set(rule netlab.Rule, a *netlab.Host, others ...*netlab.Host) chart {
	for _, b := range others {
		c[[2]*netlab.Host{a, b}] = rule
	}
	return c
}

func TestWhoCanReachAMajority(t *testing.T) {
	var m [3]*netlab.Host
	for i := range m {
		m[i] = &netlab.Host{Name: hostName(i)}
	}
	s := &netlab.Host{Name: "A"}
	cut, lossy, slow := netlab.Rule{Drop: true}, netlab.Rule{Loss: 0.1}, netlab.Rule{Delay: time.Second}
	for _, c := range []struct {
		what  string
		chart chart
		dead  *netlab.Host
		want  reach
	}{
		{"all is well", chart{}, nil, can},
		{"late is not lost", chart{}.set(slow, s, m[:]...).set(slow, m[0], m[1:]...), nil, can},
		{"one way is no way", chart{}.set(cut, s, m[:]...), nil, cannot},
		{"one member is enough", chart{}.set(cut, s, m[0], m[1]), nil, can},
		{"it takes chance", chart{}.set(cut, s, m[0], m[1]).set(lossy, s, m[2]), nil, unsure},
		{"with a member that is alone", chart{}.set(cut, s, m[1:]...).set(cut, m[0], m[1:]...), nil, cannot},
		{"a member that may be in or out", chart{}.set(cut, s, m[1:]...).set(cut, m[0], m[1]), nil, unsure},
		{"no majority, for certain", chart{}.set(cut, m[0], m[1:]...).set(cut, m[1], m[2]), nil, unsure},
		{"a member less", chart{}, m[1], can},
		{"with the member that is dead", chart{}.set(cut, s, m[0], m[2]), m[1], cannot},
		{"dead itself", chart{}, s, cannot},
	} {
		w := web{
			rule:  func(from, to *netlab.Host) netlab.Rule { return c.chart[[2]*netlab.Host{from, to}] },
			alive: func(h *netlab.Host) bool { return h != c.dead },
		}
		assert.Equal(t, c.want, w.reach(s, m[:]), c.what)
	}
}
