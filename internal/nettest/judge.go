//go:build linux

// The judge: from what was broken when, it tells which calls must have
// succeeded and which servers must be registered.

package nettest

import (
	"slices"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/netlab"
)

// blink is how long the way to a server may be interrupted and it still counts
// as reachable: TCP sends again after 0.2 s, after 0.4 s more, and so on.
const blink = 350 * time.Millisecond

// A span is a time during which something was broken.
type span struct {
	from, to time.Time // to is zero as long as it lasts
}

// A history is what was broken when, by client and server.
type history struct {
	mu  sync.Mutex
	bad map[[2]string][]span
}

// note adds that the way from a client to a server, and the server itself, are
// well or not. Of a change that takes a moment, the worse side counts: it began
// at before and ended at after.
func (h *history) note(client, server string, well bool, before, after time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()

	key := [2]string{client, server}
	spans := h.bad[key]
	broken := len(spans) > 0 && spans[len(spans)-1].to.IsZero()

	switch {
	case well && broken:
		spans[len(spans)-1].to = after
	case !well && !broken:
		if h.bad == nil {
			h.bad = make(map[[2]string][]span)
		}
		h.bad[key] = append(spans, span{from: before})
	}
}

// well tells whether a server could be reached from then to then, but for
// blinks.
func (h *history) well(client, server string, from, to time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.ContainsFunc(h.bad[[2]string{client, server}], func(s span) bool {
		over := !s.to.IsZero()
		if s.from.After(to) || over && s.to.Before(from) {
			return false
		}
		return !over || s.to.Sub(s.from) > blink
	})
}

// promised returns a server for whose sake a call of a client that began and
// ended then must have succeeded, by address: the client listed it all the
// time, and it could be reached all the time.
func (h *history) promised(client string, lists []line, from, to time.Time) (server string, ok bool) {
	for _, addr := range listed(lists, from, to) {
		if h.well(client, addr, from, to) {
			return addr, true
		}
	}
	return "", false
}

// listed returns the servers that were in all lists of that time.
func listed(lists []line, from, to time.Time) []string {
	var all []string
	known := false
	for _, l := range lists {
		switch {
		case !l.At.After(from):
			all, known = slices.Clone(l.List), true
		case l.At.Before(to) && known:
			all = slices.DeleteFunc(all, func(addr string) bool { return !slices.Contains(l.List, addr) })
		}
	}
	return all
}

// A reach tells whether a server can have a session with the registry.
type reach int

const (
	unsure  reach = iota // it depends on chance, or on an election
	can                  // it must be registered, soon after it can
	cannot               // it must not be registered, once its session is over
	reaches = 3
)

func (r reach) String() string { return [reaches]string{"unsure", "can", "can't"}[r] }

// A web is what the judge knows of the network at one moment.
type web struct {
	rule  func(from, to *netlab.Host) netlab.Rule
	alive func(*netlab.Host) bool
}

// dead tells whether no conversation is possible between two hosts.
func (w web) dead(a, b *netlab.Host) bool { return w.rule(a, b).Drop || w.rule(b, a).Drop }

// clean tells whether a conversation between two hosts loses nothing.
func (w web) clean(a, b *netlab.Host) bool { return !w.rule(a, b).Loses() && !w.rule(b, a).Loses() }

// quorum returns the members that may be in a majority that serves, and whether
// they certainly are: each of them speaks with all the others without loss. A
// chain of three, of whom the ends don't speak, may elect any two.
func (w web) quorum(members []*netlab.Host) (some []*netlab.Host, sure bool) {
	most := len(members)/2 + 1
	for _, m := range members {
		speaks := 0
		for _, other := range members {
			if other == m || w.alive(other) && !w.dead(m, other) {
				speaks++
			}
		}
		if w.alive(m) && speaks >= most {
			some = append(some, m)
		}
	}

	sure = len(some) >= most
	for _, a := range some {
		for _, b := range some {
			sure = sure && (a == b || w.clean(a, b))
		}
	}
	return some, sure
}

// reach tells whether a server can have a session.
func (w web) reach(server *netlab.Host, members []*netlab.Host) reach {
	if !w.alive(server) {
		return cannot
	}
	quorum, sure := w.quorum(members)
	if !sure {
		return unsure
	}

	switch {
	case slices.ContainsFunc(quorum, func(m *netlab.Host) bool { return w.clean(server, m) }):
		return can
	case slices.ContainsFunc(quorum, func(m *netlab.Host) bool { return !w.dead(server, m) }):
		return unsure
	}
	return cannot
}
