//go:build linux

// What is done to the network and to what runs on it, and what each change
// means for who can reach whom. The judge goes by that.

package nettest

import (
	"fmt"
	"time"

	"example.com/rpcworkbook/internal/netlab"
)

// A reaching is what a server can do, and since when.
type reaching struct {
	reach
	since time.Time
	voted time.Time // when the members last had reason to elect a leader
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
