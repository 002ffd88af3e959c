// The stage of one test: a root of its own, the servers registered there, and
// clients that look on.

package discoverytest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

const (
	soon    = 15 * time.Second        // for what happens at once, on a busy machine
	expired = Session + 6*time.Second // by then the registry has ended a session that it has not heard of
)

// A stage is what one test plays on.
type stage struct {
	t     testing.TB
	b     Backend
	store Store
	root  string

	session time.Duration // of servers
	doubt   time.Duration // the session of clients, for which they doubt an empty list
}

// patient has servers keep their registration for long: for what must not
// depend on a machine that stands still for a moment.
func (s *stage) patient() *stage {
	s.session = 15 * time.Second
	return s
}

var roots atomic.Int64

func (b Backend) stage(t testing.TB, store Store) *stage {
	s := &stage{
		t: t, b: b, store: store, root: fmt.Sprintf("/suite-%d", roots.Add(1)),
		session: Session, doubt: Session,
	}
	harness.Scene(t, func() string {
		switch entries, err := s.store.Entries(t, s.root); {
		case err != nil:
			return "registered  " + err.Error()
		case len(entries) == 0:
			return "registered  nothing under " + s.root
		default:
			return fmt.Sprintf("registered  %v", entries)
		}
	})
	return s
}

// must ends the test unless err is nil.
func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// doubtful has clients doubt an empty list for longer than servers may need to
// register again, on a machine that is busy.
func (s *stage) doubtful() *stage {
	s.doubt = 10 * time.Second
	return s
}

// A server is a registration, and what it says.
type server struct {
	*stage
	rpc.Registration
	addr string
}

// server prepares to register 127.0.0.1 and that port, by way of addr.
func (s *stage) server(addr string, port int) *server {
	v := &server{s, s.b.Register(s.t, addr, s.root, s.session, rpc.Endpoint{Host: "127.0.0.1", Port: port}),
		net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	s.t.Cleanup(func() { v.close() })
	return v
}

// serving is the same for one that serves, and is registered when it returns.
func (s *stage) serving(addr string, port int) *server {
	s.t.Helper()
	v := s.server(addr, port)
	v.SetServing(true)
	s.waitEntries(v.addr)
	return v
}

// close ends the registration and returns how long that took.
func (v *server) close() (took time.Duration, was bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	began := time.Now()
	was = v.Close(ctx)
	return time.Since(began), was
}

// waitEntries waits until exactly one of these addresses each is registered, in
// addition to others that were there.
func (s *stage) waitEntries(addrs ...string) (names []string) {
	s.t.Helper()
	harness.Eventually(s.t, 2*soon, fmt.Sprintf("one registration each of %q", addrs), func() (bool, string) {
		entries, err := s.store.Entries(s.t, s.root)
		names = nil
		left := slices.Clone(addrs)

		for _, e := range entries {
			addr, _ := rpc.ParseEndpoint([]byte(e.Data))
			i := slices.Index(left, addr)
			if i < 0 && slices.Contains(addrs, addr) {
				return false, "two of " + addr
			}
			if i >= 0 {
				left = slices.Delete(left, i, i+1)
				names = append(names, e.Name)
			}
		}

		return err == nil && len(left) == 0, fmt.Sprint(entries, err)
	})
	return names
}

// waitNone waits until nothing is registered.
func (s *stage) waitNone(within time.Duration) {
	s.t.Helper()
	harness.Eventually(s.t, within, "no registration", func() (bool, string) {
		entries, err := s.store.Entries(s.t, s.root)
		return err == nil && len(entries) == 0, fmt.Sprint(entries, err)
	})
}

// A view is what one client gets to know. It is safe for concurrent use.
type view struct {
	t    testing.TB
	end  context.CancelFunc
	done chan struct{}

	mu        sync.Mutex
	snapshots []rpc.Snapshot // all so far
}

// watch starts to look on, by way of addr, until the end of the test.
func (s *stage) watch(addr string) *view {
	ctx, cancel := context.WithCancel(context.Background())
	v := &view{t: s.t, end: cancel, done: make(chan struct{})}
	d := s.b.Discover(s.t, addr, s.root, s.doubt)
	go func() {
		defer close(v.done)
		d.Watch(ctx, func(snapshot rpc.Snapshot) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.snapshots = append(v.snapshots,
				rpc.Snapshot{Servers: slices.Clone(snapshot.Servers), Stale: snapshot.Stale})
		})
	}()
	s.t.Cleanup(func() { v.close() })
	return v
}

// close ends the watching and returns how long that took.
func (v *view) close() time.Duration {
	began := time.Now()
	v.end()
	select {
	case <-v.done:
	case <-time.After(soon):
		v.t.Errorf("Watch doesn't return within %v of the end of its context", soon)
	}
	return time.Since(began)
}

// all returns all snapshots since the number that was returned before.
func (v *view) all(since int) (snapshots []rpc.Snapshot, number int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.snapshots[since:]), len(v.snapshots)
}

// wait waits until the latest snapshot is this one.
func (v *view) wait(stale bool, servers ...string) {
	v.t.Helper()
	slices.Sort(servers)
	v.waitFor(fmt.Sprintf("servers %q, stale %t", servers, stale), func(s rpc.Snapshot) bool {
		return s.Stale == stale && slices.Equal(s.Servers, servers)
	})
}

func (v *view) waitFor(what string, condition func(rpc.Snapshot) bool) {
	v.t.Helper()
	harness.Eventually(v.t, 2*soon, what, func() (bool, string) {
		snapshots, n := v.all(0)
		if n == 0 {
			return false, "no snapshot"
		}
		return condition(snapshots[n-1]), fmt.Sprintf("%+v", snapshots)
	})
}
