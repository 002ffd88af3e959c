// What must hold when something breaks. Every wait is for a condition, and long
// enough for a busy machine; what must not happen is looked for afterwards, in
// everything that was seen.

package discoverytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
)

func (b Backend) faults(t *testing.T, store Store) {
	addr := store.Addr()

	t.Run("a session or lease that has ended: registered again, once, and the client learns", func(t *testing.T) {
		s := b.stage(t, store)
		link := b.Link(t, store)
		v := s.serving(link.Addr(), 2001)
		client := s.watch(addr)
		client.wait(false, v.addr)
		before := s.waitEntries(v.addr)

		for range 3 {
			s.must(link.Expire(s.root))
			harness.Eventually(t, soon, fmt.Sprintf("another registration than %q", before), func() (bool, string) {
				entries, err := store.Entries(s.t, s.root)
				return err == nil && len(entries) == 1 && entries[0].Name != before[0], fmt.Sprint(entries, err)
			})
			before = s.waitEntries(v.addr)
			client.wait(false, v.addr)
		}

		v.close()
		s.waitNone(soon)
	})

	t.Run("a registration that somebody takes away comes back, once, and the client learns", func(t *testing.T) {
		s := b.stage(t, store)
		v, other := s.serving(addr, 2090), s.serving(addr, 2091)
		client := s.watch(addr)
		client.wait(false, v.addr, other.addr)

		comesBack := func(do func()) {
			t.Helper()
			_, known := client.all(0)
			do()
			harness.Eventually(t, soon, v.addr+" off the client's list, and on it again", func() (bool, string) {
				snapshots, _ := client.all(known)
				off := slices.IndexFunc(snapshots, func(s rpc.Snapshot) bool {
					return !slices.Contains(s.Servers, v.addr)
				})
				return off >= 0 && slices.Contains(snapshots[len(snapshots)-1].Servers, v.addr), fmt.Sprint(snapshots)
			})
			s.waitEntries(v.addr, other.addr)
			client.wait(false, v.addr, other.addr)
		}

		remove := func() { store.Remove(s.t, s.root, s.waitEntries(v.addr)[0]) }
		comesBack(remove)
		comesBack(remove) // it is looked after as the first one was
		comesBack(func() { store.Clear(s.t, s.root) })
		comesBack(remove)

		v.close()
		other.close()
		s.waitNone(soon)
	})

	t.Run("who takes registrations away as fast as they come "+
		"doesn't have them come faster and faster", func(t *testing.T) {
		s := b.stage(t, store)
		v := s.serving(addr, 2092)

		removed := 0
		for began := time.Now(); time.Since(began) < 2500*time.Millisecond; {
			entries, err := store.Entries(s.t, s.root)
			s.must(err)
			for _, e := range entries {
				store.Remove(s.t, s.root, e.Name)
				removed++
			}
		}
		harness.Check(t, removed >= 2 && removed <= 10, "2 to 10 registrations in 2.5 s", "%d", removed)
		s.waitEntries(v.addr)
	})

	t.Run("the answer to a registration is lost: registered once, and nothing left at the end", func(t *testing.T) {
		s := b.stage(t, store)
		s.serving(addr, 2002).close() // leaves a root, which would take more round trips
		link := b.Link(t, store)
		lost := make(chan struct{})
		link.OnRequest(`"port":2003`, func() { link.DropReplies(); close(lost) })

		v := s.server(link.Addr(), 2003)
		v.SetServing(true)
		select {
		case <-lost:
		case <-time.After(soon):
			t.Fatalf("no request with the endpoint within %v", soon)
		}

		s.waitEntries(v.addr)
		s.must(link.Heal())
		link.Reset()

		client := s.watch(addr)
		client.wait(false, v.addr)
		for begin := time.Now(); time.Since(begin) < Session; {
			entries, err := store.Entries(s.t, s.root)
			s.must(err)
			harness.Check(t, len(entries) <= 1, "never more than one registration", "%v", entries)
		}

		s.waitEntries(v.addr)
		v.close()
		s.waitNone(expired)
	})

	t.Run("a connection that breaks is no end: the same registration, the same list", func(t *testing.T) {
		s := b.stage(t, store).patient()
		link := b.Link(t, store)
		v := s.serving(link.Addr(), 2004)
		names := s.waitEntries(v.addr)
		client := s.watch(link.Addr())
		client.wait(false, v.addr)

		for i := range 3 {
			link.Reset()
			late := s.serving(addr, 2010+i)
			client.wait(false, v.addr, late.addr)
			late.close()
			client.wait(false, v.addr)
		}

		again := s.waitEntries(v.addr)
		harness.Check(t, slices.Equal(names, again), fmt.Sprint(names), "%v", again)
	})

	t.Run("nothing gets through for longer than a session lasts: the list stays, marked stale, "+
		"and all comes back", func(t *testing.T) {
		s := b.stage(t, store).doubtful()
		link := b.Link(t, store)
		v := s.serving(link.Addr(), 2005)
		client := s.watch(link.Addr())
		client.wait(false, v.addr)

		link.Partition(netproxy.Both)
		client.wait(true, v.addr)
		s.waitNone(expired)

		other := s.serving(addr, 2006)
		s.must(link.Heal())
		s.waitEntries(v.addr, other.addr)
		client.wait(false, v.addr, other.addr)
		client.neverEmpty()
	})

	t.Run("a registry that hangs holds up nobody's end", func(t *testing.T) {
		s := b.stage(t, store)
		v, client := s.serving(addr, 2007), s.watch(addr)
		client.wait(false, v.addr)
		store.Pause()
		defer store.Resume()
		took, _ := v.close()
		harness.Check(t, took < 4*time.Second, "Close to return within 4s", "%v", took)
		took = client.close()
		harness.Check(t, took < 4*time.Second, "Watch to return within 4s", "%v", took)
		store.Resume()
		s.waitNone(expired)
	})

	t.Run("it hangs for longer than a session lasts, and goes on: registered, once; "+
		"no list was believed meanwhile", func(t *testing.T) {
		s := b.stage(t, store).doubtful()
		v, client := s.serving(addr, 2008), s.watch(addr)
		client.wait(false, v.addr)
		store.Pause()
		client.wait(true, v.addr)
		time.Sleep(Session) // so that it is over
		store.Resume()
		client.wait(false, v.addr)
		s.waitEntries(v.addr)
		late := s.serving(addr, 2009)
		client.wait(false, v.addr, late.addr)
		client.neverEmpty()
	})

	t.Run("killed and started again: what was registered is, and what comes later is found", func(t *testing.T) {
		s := b.stage(t, store).doubtful()
		v, client := s.serving(addr, 2020), s.watch(addr)
		client.wait(false, v.addr)

		for i := range 2 { // the second time shows what came of the first
			store.Kill()
			client.wait(true, v.addr)
			s.must(store.Restart())
			client.wait(false, v.addr)
			late := s.serving(addr, 2021+i)
			client.wait(false, v.addr, late.addr)
			late.close()
			client.wait(false, v.addr)
		}

		s.waitEntries(v.addr)
		client.neverEmpty()
	})

	t.Run("without it at the start: the server waits, and so does the client, who knows nothing", func(t *testing.T) {
		s := b.stage(t, store)
		store.Kill()
		v, other, client := s.server(addr, 2030), s.server(addr, 2031), s.watch(addr)
		v.SetServing(true)
		other.SetServing(true)
		took, was := other.close()
		harness.Check(t, !was && took < 4*time.Second, "false within 4s", "%t in %v", was, took)
		_, n := client.all(0)
		harness.Check(t, n == 0, "no snapshot of what nobody knows", "%d", n)
		s.must(store.Restart())
		s.waitEntries(v.addr)
		client.wait(false, v.addr)
	})

	t.Run("it loses its data: every server registers again, and those that are gone are forgotten", func(t *testing.T) {
		s := b.stage(t, store).doubtful()
		var servers []*server
		for i := range 20 { // so that the new data begin far behind the old
			servers = append(servers, s.serving(addr, 2040+i))
		}

		client := s.watch(addr)
		var all []string
		for _, v := range servers {
			all = append(all, v.addr)
		}
		client.wait(false, all...)

		for _, v := range servers[2:] {
			v.close()
		}
		client.wait(false, all[:2]...)

		store.Plant(s.t, s.root, "gone", `{"host":"127.0.0.1","port":2099}`)
		client.wait(false, append([]string{"127.0.0.1:2099"}, all[:2]...)...)

		s.must(store.Wipe())
		s.waitEntries(all[:2]...)
		client.wait(false, all[:2]...)

		late := s.serving(addr, 2070)
		client.wait(false, append([]string{late.addr}, all[:2]...)...)
		late.close()
		client.wait(false, all[:2]...)
		client.neverEmpty()
	})

	t.Run("an empty list after trouble is believed only when it lasts for a session", func(t *testing.T) {
		s := b.stage(t, store)
		v := s.serving(addr, 2080)
		link := b.Link(t, store)
		client := s.watch(link.Addr())
		client.wait(false, v.addr)

		link.Refuse()
		link.Reset()
		client.wait(true, v.addr)
		v.close()
		_, known := client.all(0)

		healed := time.Now()
		s.must(link.Heal())
		client.wait(false)
		took := time.Since(healed)
		harness.Check(t, took >= Session, fmt.Sprintf("the list kept for %v", Session), "given up after %v", took)

		snapshots, _ := client.all(known)
		empty := slices.IndexFunc(snapshots, func(s rpc.Snapshot) bool { return len(s.Servers) == 0 })
		harness.Check(t, empty == len(snapshots)-1, "an empty list in the end only", "%v", snapshots)
	})

	t.Run("three members that lose their leader lose no registration and no change", func(t *testing.T) {
		b.leader(t, true, Store.Kill, func(s Store) error { return s.Restart() })
	})

	// It takes ZooKeeper longer than our session to notice that: a server may
	// have to register anew.
	t.Run("a leader that hangs: every server is registered in the end, every change found, "+
		"and no list was lost", func(t *testing.T) {
		b.leader(t, false, Store.Pause, func(s Store) error { s.Resume(); return nil })
	})

	t.Run("one member of three that has lost the others knows nothing new, and doesn't pretend", func(t *testing.T) {
		members := b.StartThree(t)
		s := b.stage(t, members[0]).doubtful()
		v, client := s.serving(members[0].Addr(), 2200), s.watch(members[0].Addr())
		client.wait(false, v.addr)

		for _, other := range members[1:] {
			other.Pause()
		}
		client.wait(true, v.addr)
		for _, other := range members[1:] {
			other.Resume()
		}
		s.waitEntries(v.addr)

		late := s.serving(members[1].Addr(), 2201)
		client.wait(false, v.addr, late.addr)
		client.neverEmpty()
	})
}

// leader loses the leader of three members, in that way, and has it back. keeps
// says whether registrations must live on as they are.
func (b Backend) leader(t *testing.T, keeps bool, lose func(Store), back func(Store) error) {
	members := b.StartThree(t)
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.Addr())
	}
	all := strings.Join(addrs, ",")

	s := b.stage(t, members[0]).doubtful()
	if keeps {
		s.patient()
	}
	first, client := s.serving(all, 2100), s.watch(all)
	want := []string{first.addr}
	client.wait(false, want...)

	for i := range 2 {
		var leader Store
		harness.Eventually(t, 2*soon, "a leader", func() (bool, string) {
			i := slices.IndexFunc(members, Store.Leads)
			if i >= 0 {
				leader = members[i]
			}
			return i >= 0, "none"
		})
		s.store = members[(slices.Index(members, leader)+1)%len(members)] // one that lives
		names := s.waitEntries(want...)

		lose(leader)
		late := s.serving(all, 2101+i)
		want = append(want, late.addr)
		client.wait(false, want...)
		kept := s.waitEntries(want...)
		for _, name := range names {
			harness.Check(t, !keeps || slices.Contains(kept, name), name+" kept", "%v", kept)
		}
		s.must(back(leader))
	}

	s.waitEntries(want...)
	client.wait(false, want...)
	client.neverEmpty()
}

// neverEmpty checks that no empty list was published since there was a server.
func (v *view) neverEmpty() {
	v.t.Helper()
	snapshots, _ := v.all(0)
	first := slices.IndexFunc(snapshots, func(s rpc.Snapshot) bool { return len(s.Servers) > 0 })
	for _, s := range snapshots[max(first, 0):] {
		harness.Check(v.t, len(s.Servers) > 0, "no empty list since the first server", "%v", snapshots)
	}
}
