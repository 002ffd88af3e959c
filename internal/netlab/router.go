// The router: it reads packets from the ports of all hosts and hands each to
// the port of the host that it is for, if the rules of the link between the two
// let it arrive, and when they do.

package netlab

import (
	"container/heap"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The hosts' network is one that is set aside for tests of networks (RFC 2544):
// the host at port i has the address 198.18.0.(i+1).
var network = [3]byte{198, 18, 0}

const maxHosts = 254

// A direction is a way from one port to another, by their numbers.
type direction struct{ from, to int }

// A router carries packets between its ports. Rules may change at any time,
// from any goroutine.
type router struct {
	seed uint64
	wire *wire

	passed, lost atomic.Int64 // packets

	mu          sync.Mutex
	ports       []io.ReadWriter
	impairments []*impairment
	rules       map[direction]Rule // what the impairments make of each direction that has some
}

// An impairment is a rule for some directions, until it is lifted.
type impairment struct {
	rule Rule
	ways []direction
}

func newRouter(seed uint64) *router {
	r := &router{seed: seed, wire: newWire(), rules: make(map[direction]Rule)}
	go r.wire.run()
	return r
}

// plug adds a port and carries what comes out of it, in a goroutine of its own,
// until reading fails: close the port to unplug it, then wait for gone.
func (r *router) plug(port io.ReadWriter) (number int, gone <-chan struct{}) {
	r.mu.Lock()
	number = len(r.ports)
	r.ports = append(r.ports, port)
	r.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		r.carry(number, port)
	}()
	return number, done
}

// end returns when nothing is on its way any more. The ports must be unplugged.
func (r *router) end() { r.wire.end() }

// carry reads the packets of one host.
func (r *router) carry(from int, port io.Reader) {
	random := make(map[int]*rand.Rand) // by where to
	buffer := make([]byte, MTU)
	for {
		n, err := port.Read(buffer)
		if err != nil {
			return
		}
		to, ok := destination(buffer[:n])
		if !ok || to == from {
			continue // neighbours looked for by IPv6, for example
		}
		if random[to] == nil {
			random[to] = rand.New(rand.NewPCG(r.seed, uint64(from)<<32|uint64(to)))
		}

		target, rule := r.look(direction{from, to})
		arrives, late := rule.fate(n, random[to])
		switch {
		case target == nil || !arrives:
			r.lost.Add(1)
		case late == 0:
			r.passed.Add(1)
			_, _ = target.Write(buffer[:n]) // a host whose queue is full loses packets, as everywhere
		default:
			r.passed.Add(1)
			r.wire.send(time.Now().Add(late), target, slices.Clone(buffer[:n]))
		}
	}
}

// destination returns the port that an IPv4 packet is for.
func destination(packet []byte) (port int, ok bool) {
	const header, version, address = 20, 4, 16 // the header's length, and where in it the destination is
	if len(packet) < header || packet[0]>>4 != version || [3]byte(packet[address:]) != network {
		return 0, false
	}
	return int(packet[address+3]) - 1, true
}

// look returns the port at the end of a direction, nil if there is none, and
// the rule on the way.
func (r *router) look(d direction) (io.Writer, Rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.to < 0 || d.to >= len(r.ports) {
		return nil, Rule{}
	}
	return r.ports[d.to], r.rules[d]
}

// impair adds a rule to some directions until lift is called, once or more.
func (r *router) impair(rule Rule, ways ...direction) (lift func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := &impairment{rule, ways}
	r.impairments = append(r.impairments, one)
	r.work(ways)

	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.impairments = slices.DeleteFunc(r.impairments, func(other *impairment) bool { return other == one })
		r.work(ways)
	}
}

// work works out the rules of some directions anew. The caller holds mu.
func (r *router) work(ways []direction) {
	for _, way := range ways {
		delete(r.rules, way)
		for _, i := range r.impairments {
			if slices.Contains(i.ways, way) {
				r.rules[way] = r.rules[way].with(i.rule)
			}
		}
	}
}

// A wire holds packets that arrive later, and hands them over in time.
type wire struct {
	wake chan struct{} // holds one token when there is a new first packet
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	packets schedule
	sent    uint64
}

// A packet is on its way.
type packet struct {
	due    time.Time
	number uint64 // of two that are due at once the first goes first
	target io.Writer
	bytes  []byte
}

func newWire() *wire {
	return &wire{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
}

// send takes over bytes.
func (w *wire) send(due time.Time, target io.Writer, bytes []byte) {
	w.mu.Lock()
	w.sent++
	heap.Push(&w.packets, packet{due, w.sent, target, bytes})
	first := w.packets[0].number == w.sent
	w.mu.Unlock()

	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *wire) run() {
	defer close(w.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if wait, ok := w.deliver(); ok {
			timer.Reset(wait)
		}
		select {
		case <-w.stop:
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// deliver hands over what is due, and returns how long it is until the next
// packet is, if there is one.
func (w *wire) deliver() (wait time.Duration, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.packets) > 0 {
		wait = time.Until(w.packets[0].due)
		if wait > 0 {
			return wait, true
		}
		p := heap.Pop(&w.packets).(packet)
		_, _ = p.target.Write(p.bytes)
	}
	return 0, false
}

func (w *wire) end() {
	close(w.stop)
	<-w.done
}

// A schedule is a heap of packets, the next one first.
type schedule []packet

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	if s[i].due.Equal(s[j].due) {
		return s[i].number < s[j].number
	}
	return s[i].due.Before(s[j].due)
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(p any)   { *s = append(*s, p.(packet)) }
func (s *schedule) Pop() any {
	last := len(*s) - 1
	p := (*s)[last]
	(*s)[last] = packet{}
	*s = (*s)[:last]
	return p
}
