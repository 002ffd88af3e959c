// Tests of watching, with a real ZooKeeper: what is asked of it, and what is
// published of what it says, or doesn't say.

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

// A lookout is a root that one test changes and watches.
type lookout struct {
	t    *testing.T
	root string
	conn *zk.Conn // past any gate

	cancel context.CancelFunc
	done   chan struct{} // closed when Watch has returned
	mu     sync.Mutex
	all    []Snapshot // as published
	at     []time.Time
}

// newLookout prepares a root of that name, which doesn't exist yet.
func newLookout(t *testing.T, zookeeper *zkdev.Server, root string) *lookout {
	conn, events, err := zk.Connect([]string{zookeeper.Addr(), zookeeper.Addr()}, 30*time.Second,
		zk.WithLogger(log.New(io.Discard, "", 0)))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	for event := range events {
		if event.State == zk.StateHasSession {
			break
		}
	}
	_, _, err = conn.Exists(root) // then all of the library's goroutines are there
	require.NoError(t, err)
	return &lookout{t: t, root: root, conn: conn, cancel: func() {}}
}

// watch starts to watch through the ZooKeeper on addr.
func (w *lookout) watch(addr string, timeout time.Duration) *ZKDiscovery {
	session, err := NewSession(addr, timeout)
	require.NoError(w.t, err)
	z := NewZKDiscovery(session, w.root)
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		z.Watch(ctx, func(s Snapshot) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.all, w.at = append(w.all, s), append(w.at, time.Now())
		})
	}()
	w.t.Cleanup(func() { cancel(); <-w.done })
	return z
}

func (w *lookout) published() []Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// wait waits until this is what was published last.
func (w *lookout) wait(stale bool, servers ...string) {
	w.t.Helper()
	want := fmt.Sprint(Snapshot{servers, stale})
	harness.Eventually(w.t, 20*time.Second, "the snapshot "+want, func() (bool, string) {
		all := w.published()
		return len(all) > 0 && fmt.Sprint(all[len(all)-1]) == want, fmt.Sprint(all)
	})
}

// create makes a znode with these data, persistent, and its root if need be.
func (w *lookout) create(name, data string) {
	w.t.Helper()
	if _, err := w.conn.Create(w.root, nil, 0, zk.WorldACL(zk.PermAll)); !errors.Is(err, zk.ErrNodeExists) {
		require.NoError(w.t, err)
	}
	_, err := w.conn.Create(w.root+"/"+name, []byte(data), 0, zk.WorldACL(zk.PermAll))
	require.NoError(w.t, err)
}

func (w *lookout) remove(name string) {
	w.t.Helper()
	require.NoError(w.t, w.conn.Delete(w.root+name, -1))
}

// at returns the data of a server on that port.
func at(port int) string { return fmt.Sprintf(`{"host":"h","port":%d}`, port) }

// listedBefore is a list of these names whose watch has not fired.
func listedBefore(names ...string) listing {
	return listing{names: names, session: 1, changed: make(chan zk.Event)}
}

func TestWatch(t *testing.T) {
	zookeeper := zktest.Start(t)
	const session = 2 * time.Second

	t.Run("asks for the list and for what is new, no more", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/new")
		var requests requestCounter
		proxy, err := netproxy.NewTapped(zookeeper.Addr(), requests.tap)
		require.NoError(t, err)
		t.Cleanup(proxy.Close)

		var servers []string
		for i := range 9 {
			w.create(fmt.Sprint("rpc", i), at(i+1))
			servers = append(servers, fmt.Sprint("h:", i+1))
		}

		w.watch(proxy.Addr(), session)
		w.wait(false, servers...)
		requests.want(t, 1+9)

		w.create("newcomer", at(99))
		w.wait(false, append(servers, "h:99")...)
		requests.want(t, 1+9+2)
		w.remove("/newcomer")
		w.wait(false, servers...)
		requests.want(t, 1+9+2+1)

		w.create("bad", "gibberish")
		requests.want(t, 1+9+2+1+2)
		w.create("good", at(98))
		w.wait(false, append(servers, "h:98")...)
		requests.want(t, 1+9+2+1+2+2)
		require.Len(t, w.published(), 4, "what doesn't change the set is not published")

		proxy.Reset()
		harness.Eventually(t, 10*time.Second, "a stale snapshot, and a fresh one", func() (bool, string) {
			return len(w.published()) == 6, fmt.Sprint(w.published())
		})
		w.create("again", at(97))
		w.wait(false, append(servers, "h:97", "h:98")...)
		requests.want(t, 1+9+2+1+2+2+2+1) // the library has set the watch again
	})

	t.Run("asks for all that is new at once, and with 300 servers for no more than with 9", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/many")
		var requests requestCounter
		proxy, err := netproxy.NewTapped(zookeeper.Addr(), requests.tap)
		require.NoError(t, err)
		t.Cleanup(proxy.Close)

		const many = 300
		var servers []string
		var asked atomic.Int64 // how many znodes
		proxy.OnRequest(w.root+"/rpc", func() { proxy.Partition(netproxy.ToClient) })
		for i := range many {
			name := fmt.Sprintf("rpc%03d", i)
			w.create(name, at(100+i))
			servers = append(servers, fmt.Sprint("h:", 100+i))
			proxy.OnRequest(w.root+"/"+name, func() { asked.Add(1) })
		}

		w.watch(proxy.Addr(), 30*time.Second)
		harness.Eventually(t, 20*time.Second, "all znodes asked for "+
			"before the answer to the first", func() (bool, string) {
			return asked.Load() == many, fmt.Sprint(asked.Load())
		})

		require.Empty(t, w.published())
		require.NoError(t, proxy.Heal())
		w.wait(false, servers...)
		requests.want(t, 1+many)

		w.create("newcomer", at(999))
		w.wait(false, append(servers, "h:999")...)
		requests.want(t, 1+many+2)

		w.remove("/newcomer")
		w.wait(false, servers...)
		requests.want(t, 1+many+2+1)
	})

	t.Run("an address with two znodes is one server", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/twice")
		w.create("rpc0", at(1))
		w.watch(zookeeper.Addr(), session)
		w.wait(false, "h:1")

		w.create("rpc1", at(1))
		w.create("rpc2", at(2))
		w.wait(false, "h:1", "h:2")

		w.remove("/rpc0")
		w.create("rpc3", at(3))
		w.wait(false, "h:1", "h:2", "h:3")
		for _, s := range w.published() {
			assert.Contains(t, s.Servers, "h:1")
		}

		w.remove("/rpc1")
		w.wait(false, "h:2", "h:3")
	})

	t.Run("a znode that is gone before it is read is skipped", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/gone")
		w.create("rpc0", at(1))
		z := w.watch(zookeeper.Addr(), session)
		w.wait(false, "h:1")

		w.cancel()
		<-w.done
		z.session, _ = NewSession(zookeeper.Addr(), session)
		defer z.session.Close(t.Context())
		harness.Eventually(t, 10*time.Second, "a session", func() (bool, string) {
			return z.session.Conn() != nil, "none"
		})

		z.listed = listedBefore("rpc0", "rpc1")
		hidden, failed := z.look()
		assert.NoError(t, hidden)
		assert.NoError(t, failed)
		assert.Equal(t, map[string]string{"rpc0": "h:1"}, z.known)
	})

	t.Run("a znode that can't be read is tried again, and holds up nobody", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/closed")
		w.create("rpc0", at(1))
		_, err := w.conn.Create(w.root+"/rpc1", []byte(at(2)), 0, zk.WorldACL(zk.PermAdmin))
		require.NoError(t, err)
		w.watch(zookeeper.Addr(), session)
		w.wait(false, "h:1")
		_, err = w.conn.SetACL(w.root+"/rpc1", zk.WorldACL(zk.PermAll), -1)
		require.NoError(t, err)
		w.wait(false, "h:1", "h:2")
	})

	t.Run("what can't be read is asked for less and less, and nothing else waits for that", func(t *testing.T) {
		t.Parallel()
		for _, hidden := range []string{"/rpc1", ""} { // a znode, and the root itself
			w := newLookout(t, zookeeper, "/less"+strings.TrimPrefix(hidden, "/"))
			w.create("rpc0", at(1))
			w.create("rpc1", at(2))
			_, err := w.conn.SetACL(w.root+hidden, zk.WorldACL(zk.PermAdmin), -1)
			require.NoError(t, err)

			var requests requestCounter
			proxy, err := netproxy.NewTapped(zookeeper.Addr(), requests.tap)
			require.NoError(t, err)
			t.Cleanup(proxy.Close)
			z := w.watch(proxy.Addr(), 30*time.Second)
			harness.Eventually(t, 10*time.Second, "a look", func() (bool, string) {
				return errors.Is(z.Err(), zk.ErrNoAuth), fmt.Sprint(z.Err())
			})

			before := requests.n.Load()
			time.Sleep(2500 * time.Millisecond) // the length of what is counted
			asked := requests.n.Load() - before
			assert.GreaterOrEqual(t, asked, int64(2), hidden)
			assert.LessOrEqual(t, asked, int64(6),
				"%q: pauses of at least 0.1, 0.2, 0.4 and 0.8 s, and news of the session", hidden)

			if hidden == "" {
				continue
			}

			w.create("rpc2", at(3))
			w.wait(false, "h:1", "h:3")
			proxy.Refuse()
			proxy.Reset()
			harness.Eventually(t, time.Second, "a stale list at once", func() (bool, string) {
				all := w.published()
				return all[len(all)-1].Stale, fmt.Sprint(all)
			})
		}
	})

	t.Run("a list that can't be read any more leaves the last set, stale", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/shut")
		proxy := netproxy.StartT(t, zookeeper.Addr())
		w.create("rpc0", at(1))
		w.watch(proxy.Addr(), 30*time.Second)
		w.wait(false, "h:1")

		proxy.OnRequest(w.root, func() { // just before the list of both
			_, err := w.conn.SetACL(w.root, zk.WorldACL(zk.PermAdmin), -1)
			assert.NoError(t, err)
		})
		w.create("rpc1", at(2))
		w.wait(true, "h:1")

		_, err := w.conn.SetACL(w.root, zk.WorldACL(zk.PermAll), -1)
		require.NoError(t, err)
		w.wait(false, "h:1", "h:2")
	})

	t.Run("what fails is tried again after a pause, whatever the session does", func(t *testing.T) {
		session, err := NewSession(zookeeper.Addr(), session)
		require.NoError(t, err)
		harness.Eventually(t, 10*time.Second, "a session", func() (bool, string) {
			return session.Conn() != nil, "none"
		})

		var looks atomic.Int64
		session.Prepare = func(*zk.Conn) error {
			looks.Add(1)
			return errors.New("not today")
		}

		var done sync.WaitGroup
		defer done.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done.Go(func() { NewZKDiscovery(session, "/failing").Watch(ctx, func(Snapshot) {}) })
		done.Go(func() {
			for ctx.Err() == nil {
				select {
				case session.changed <- struct{}{}: // there is always news
				case <-ctx.Done():
				}
			}
		})

		harness.Eventually(t, 10*time.Second, "three looks", func() (bool, string) {
			return looks.Load() >= 3, fmt.Sprint(looks.Load())
		})
		before := looks.Load()
		time.Sleep(time.Second) // the length of what is counted
		assert.LessOrEqual(t, looks.Load()-before, int64(11), "a pause of at least 0.1 s before each")
	})

	t.Run("says why there is no set yet", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/why")
		w.create("rpc0", at(1))
		_, err := w.conn.SetACL(w.root, zk.WorldACL(zk.PermAdmin), -1)
		require.NoError(t, err)
		gate := zktest.NewGate(t, zookeeper)
		gate.Refuse()
		z := w.watch(gate.Addr(), session)

		wantErr := func(want error) {
			t.Helper()
			harness.Eventually(t, 10*time.Second, fmt.Sprint("the error ", want), func() (bool, string) {
				return errors.Is(z.Err(), want), fmt.Sprint(z.Err())
			})
		}

		wantErr(ErrNoSession)
		require.NoError(t, gate.Heal())
		wantErr(zk.ErrNoAuth)
		require.Empty(t, w.published())

		_, err = w.conn.SetACL(w.root, zk.WorldACL(zk.PermAll), -1)
		require.NoError(t, err)
		w.wait(false, "h:1")
		wantErr(nil)
	})

	t.Run("part of the servers is no set, and a failure to read no empty one", func(t *testing.T) {
		silent, err := NewSession("127.0.0.1:1", session)
		require.NoError(t, err)
		defer silent.Close(t.Context())
		published := 0
		publish := func(Snapshot) { published++ }

		z := NewZKDiscovery(silent, "/silent")
		z.listed = listedBefore("rpc0")
		_, failed := z.look()
		assert.Error(t, failed)
		z.update(publish, true)
		assert.Zero(t, published, "nothing is known yet")

		z.addrs = map[string]string{"rpc0": "h:1", "rpc1": "h:2"}
		z.known, z.last = z.addrs, &Snapshot{[]string{"h:1", "h:2"}, true}
		z.listed = listedBefore("rpc1", "rpc2")
		_, failed = z.look()
		assert.Error(t, failed, "rpc0 has left, rpc2 can't be read")
		z.update(publish, true)
		assert.Zero(t, published, "the set stays")
	})

	// The library sends its watch again when it has reconnected, for what has
	// changed since the last answer that it knows of: which can be one that has
	// just come in, to a request for a znode that was still to be read.
	t.Run("what could not all be read is listed again", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/anew")
		var requests requestCounter
		proxy, err := netproxy.NewTapped(zookeeper.Addr(), requests.tap)
		require.NoError(t, err)
		t.Cleanup(proxy.Close)

		w.create("rpc0", at(1))
		w.watch(proxy.Addr(), 30*time.Second)
		w.wait(false, "h:1")
		requests.want(t, 1+1)

		proxy.OnRequest(w.root+"/rpc1", proxy.Reset)
		w.create("rpc1", at(2))
		w.wait(false, "h:1", "h:2")
		requests.want(t, 1+1+1+3) // a list; and the watch, a list and a get
	})

	t.Run("the root may come later, go, and come again", func(t *testing.T) {
		t.Parallel()
		w := newLookout(t, zookeeper, "/later")
		w.watch(zookeeper.Addr(), time.Second)
		w.wait(false)
		w.create("rpc0", at(1))
		w.wait(false, "h:1")
		w.remove("/rpc0")
		w.remove("")
		w.wait(false)
		w.create("rpc0", at(2))
		w.wait(false, "h:2")
	})

	t.Run("an empty list just after a reconnect is believed after a session timeout", func(t *testing.T) {
		t.Parallel()
		w := newLookout(t, zookeeper, "/empty")
		gate := zktest.NewGate(t, zookeeper)
		w.create("rpc0", at(1))
		z := w.watch(gate.Addr(), session)
		w.wait(false, "h:1")

		away := func(meanwhile func()) (reconnected time.Time) {
			gate.Refuse()
			gate.Reset()
			w.wait(true, "h:1")
			meanwhile()
			require.NoError(t, gate.Heal())
			return time.Now()
		}

		away(func() { w.remove("/rpc0") })
		harness.Eventually(t, 10*time.Second, "a session", func() (bool, string) {
			return z.session.Conn() != nil, "none"
		})

		w.create("rpc1", at(1)) // in time
		w.wait(false, "h:1")
		for _, s := range w.published() {
			assert.NotEmpty(t, s.Servers)
		}

		back := away(func() { w.remove("/rpc1") })
		w.wait(false)
		w.mu.Lock()
		held := w.at[len(w.at)-1].Sub(back)
		w.mu.Unlock()
		assert.Greater(t, held, session*9/10, "how long the old list was kept")
		assert.Less(t, held, 2*session)
	})

	t.Run("so it is beside a znode that can't be read", func(t *testing.T) {
		t.Parallel()
		w := newLookout(t, zookeeper, "/beside")
		gate := zktest.NewGate(t, zookeeper)
		w.create("rpc0", at(1))
		_, err := w.conn.Create(w.root+"/rpc1", []byte(at(2)), 0, zk.WorldACL(zk.PermAdmin))
		require.NoError(t, err)
		z := w.watch(gate.Addr(), session)
		w.wait(false, "h:1")
		for range 8 { // then the next look at what is hidden is far away
			gate.Reset()
			w.wait(true, "h:1")
			w.wait(false, "h:1")
		}

		gate.Refuse()
		gate.Reset()
		w.wait(true, "h:1")
		w.remove("/rpc0")
		require.NoError(t, gate.Heal())
		back := time.Now()
		w.wait(false)
		w.mu.Lock()
		held := w.at[len(w.at)-1].Sub(back)
		w.mu.Unlock()
		assert.Greater(t, held, session*9/10, "how long the old list was kept")
		assert.Less(t, held, 2*session)
		assert.ErrorIs(t, z.Err(), zk.ErrNoAuth)
	})

	t.Run("in a new session everything is read again", func(t *testing.T) {
		t.Parallel()
		w := newLookout(t, zookeeper, "/again")
		gate := zktest.NewGate(t, zookeeper)
		w.create("rpc0", at(1))
		w.create("rpc1", at(2))
		w.watch(gate.Addr(), session)
		w.wait(false, "h:1", "h:2")

		gate.Refuse()
		gate.Reset()
		w.wait(true, "h:1", "h:2")
		_, err := w.conn.Set(w.root+"/rpc0", []byte(at(3)), -1) // as if ZooKeeper had begun to count anew
		require.NoError(t, err)

		require.NoError(t, gate.Expire())
		w.wait(false, "h:2", "h:3")
		w.create("rpc2", at(4))
		w.wait(false, "h:2", "h:3", "h:4")
	})

	t.Run("ends when told to, and ends its session", func(t *testing.T) {
		w := newLookout(t, zookeeper, "/end")
		leaks(t)
		gate := zktest.NewGate(t, zookeeper)
		w.watch(gate.Addr(), 30*time.Second)
		w.wait(false)
		w.cancel()
		select {
		case <-w.done:
		case <-time.After(time.Second):
			assert.Fail(t, "Watch has not returned")
		}
		id := fmt.Sprintf("0x%x", gate.Latest())
		harness.Eventually(t, 10*time.Second, "session "+id+" closed", func() (bool, string) {
			sessions, err := zookeeper.FourLetter("dump")
			return err == nil && !strings.Contains(sessions, id), sessions
		})
	})
}

func TestWatchWhateverHappensToZooKeeper(t *testing.T) {
	const session = 2 * time.Second
	zookeeper := zktest.Start(t)
	w := newLookout(t, zookeeper, "/servers")
	gate := zktest.NewGate(t, zookeeper)
	zookeeper.Kill()
	w.watch(gate.Addr(), session)
	require.NoError(t, zookeeper.Restart())
	w.wait(false)

	servers := []string{}
	join := func() {
		t.Helper()
		port := 100 + len(servers)
		w.create(fmt.Sprint("rpc", port), at(port))
		servers = append(servers, fmt.Sprint("h:", port))
		w.wait(false, servers...)
	}
	for range 20 {
		join()
	}
	oneWatch := func() {
		t.Helper()
		join() // the watch is there and works
		harness.Eventually(t, 10*time.Second, "one watch", func() (bool, string) {
			state, err := zookeeper.FourLetter("mntr")
			return err == nil && strings.Contains(state, "zk_watch_count\t1\n"), state
		})
	}
	oneWatch()
	for _, fault := range []func() error{
		func() error { gate.Reset(); return nil },
		gate.Expire,
		zookeeper.Restart,
		func() error { zookeeper.Pause(); w.wait(true, servers...); zookeeper.Resume(); return nil },
		gate.Expire,
		func() error { gate.Cut(); return nil },
	} {
		require.NoError(t, fault())
		oneWatch()
	}
	for _, s := range w.published()[1:] {
		assert.NotEmpty(t, s.Servers, "the set never shrank")
		assert.True(t, slices.IsSorted(s.Servers))
	}

	zookeeper.Pause() // a ZooKeeper that hangs doesn't keep Watch from ending
	began := time.Now()
	w.cancel()
	<-w.done
	assert.Less(t, time.Since(began), session)
	zookeeper.Resume()
}

// A requestCounter counts what ZooKeeper was asked, by its answers: pings and
// events apart, these have numbers from 1.
type requestCounter struct{ n atomic.Int64 }

func (c *requestCounter) want(t *testing.T, n int) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, fmt.Sprint(n, " requests"), func() (bool, string) {
		return int(c.n.Load()) >= n, fmt.Sprint(c.n.Load())
	})
	require.Equal(t, n, int(c.n.Load()), "requests")
}

func (c *requestCounter) tap() io.Writer { return &answers{counter: c} }

// answers are what ZooKeeper says on one connection.
type answers struct {
	counter *requestCounter
	unread  []byte
	opened  bool // the first answer, to the handshake, has been read
}

func (a *answers) Write(chunk []byte) (int, error) {
	a.unread = append(a.unread, chunk...)
	for len(a.unread) >= 8 {
		end := 4 + int(binary.BigEndian.Uint32(a.unread))
		if len(a.unread) < end {
			break
		}

		number := int32(binary.BigEndian.Uint32(a.unread[4:]))
		if a.opened && number > 0 {
			a.counter.n.Add(1)
		}
		a.opened, a.unread = true, a.unread[end:]
	}
	return len(chunk), nil
}
