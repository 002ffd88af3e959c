// Package netlab is a network in a box: hosts in network namespaces of their
// own, joined by a router that is a part of this program and drops, loses,
// delays and reorders packets on demand. Programs on the hosts speak real TCP
// through real kernels and notice nothing but what a real network would do.
//
// A Lab needs Linux, root and /dev/net/tun; Missing says what isn't there. Its
// namespaces have no names and no way to the machine's own network: they live
// as long as this program or a process on one of the hosts does, and the kernel
// removes them, however this program ends.
//
// This file says what the network can do to a packet; router.go carries
// packets, lab_linux.go makes the hosts.
package netlab

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// MTU is the longest packet that leaves a host, in bytes, as on Ethernet.
const MTU = 1500

// A Rule says what happens to the packets on a link. The zero Rule: they
// arrive.
type Rule struct {
	Drop   bool          // none arrives
	Loss   float64       // the share of packets that get lost, from 0 to 1
	Delay  time.Duration // how late each packet arrives
	Late   float64       // the share of packets that arrive later than that, behind others
	LateBy time.Duration // how much later
	// MaxSize is the longest packet that arrives, in bytes; 0 means all do.
	// Longer ones get lost without a word to the sender: a black hole.
	MaxSize int
}

// with returns the rule of a link to which both rules apply.
func (r Rule) with(other Rule) Rule {
	r.Drop = r.Drop || other.Drop
	r.Loss = 1 - (1-r.Loss)*(1-other.Loss)
	r.Delay += other.Delay
	r.Late = 1 - (1-r.Late)*(1-other.Late)
	r.LateBy = max(r.LateBy, other.LateBy)

	if r.MaxSize == 0 || other.MaxSize != 0 && other.MaxSize < r.MaxSize {
		r.MaxSize = other.MaxSize
	}
	return r
}

// Loses tells whether packets get lost, some of them or all.
func (r Rule) Loses() bool { return r.Drop || r.Loss > 0 || r.MaxSize > 0 }

// fate decides about one packet: whether it arrives, and how late. It draws as
// many random numbers for each packet, whatever the rule, so that the n-th
// packet of a link draws the same ones in every run.
func (r Rule) fate(size int, random *rand.Rand) (arrives bool, late time.Duration) {
	loss, reorder := random.Float64(), random.Float64()
	if r.Drop || loss < r.Loss || r.MaxSize > 0 && size > r.MaxSize {
		return false, 0
	}

	late = r.Delay
	if reorder < r.Late {
		late += r.LateBy
	}
	return true, late
}

// String says in words what the rule does.
func (r Rule) String() string {
	var parts []string
	add := func(does bool, format string, args ...any) {
		if does {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(r.Drop, "drops all")
	add(r.Loss > 0, "loses %.0f%%", 100*r.Loss)
	add(r.Delay > 0, "delays by %v", r.Delay)
	add(r.Late > 0, "lets %.0f%% come %v later", 100*r.Late, r.LateBy)
	add(r.MaxSize > 0, "loses what is longer than %d bytes", r.MaxSize)

	if len(parts) == 0 {
		return "lets all pass"
	}
	return strings.Join(parts, ", ")
}
