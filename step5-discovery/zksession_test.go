// Tests of the session: against a real ZooKeeper that is cut off, killed,
// wiped and frozen, the session comes back soon and no wait is unbounded.

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zktest"
)

// soon is for what happens at once, on a busy machine.
const soon = 10 * time.Second

// openSession starts a session and waits until there is one.
func openSession(t *testing.T, addr string, timeout time.Duration) *Session {
	t.Helper()
	s := newSession(t, addr, timeout)
	waitSession(t, s, soon)
	return s
}

// newSession starts a session that ends with the test.
func newSession(t *testing.T, addr string, timeout time.Duration) *Session {
	t.Helper()
	s, err := NewSession(addr, timeout)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// waitSession waits until there is a session, other than old, and returns its
// id.
func waitSession(t *testing.T, s *Session, within time.Duration, old ...int64) (id int64) {
	t.Helper()
	harness.Eventually(t, within, "a session", func() (bool, string) {
		conn := s.Conn()
		if conn == nil {
			return false, "none"
		}
		id = conn.SessionID()
		return id != 0 && (len(old) == 0 || id != old[0]), "the old one"
	})
	return id
}

func waitNoSession(t *testing.T, s *Session) {
	t.Helper()
	harness.Eventually(t, soon, "no session", func() (bool, string) { return s.Conn() == nil, "still one" })
}

// wonAt returns when the session was won, or won back.
func wonAt(s *Session) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.won
}

// bounded returns what f returns, and fails the test if that takes longer.
func bounded(t *testing.T, limit time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		require.FailNow(t, "still waiting", "after %v", limit)
		return nil
	}
}

// waitQuiet waits until no goroutine of any session is left.
func waitQuiet(t *testing.T) {
	t.Helper()
	harness.Eventually(t, soon, "no goroutine of a session", func() (bool, string) {
		stacks := make([]byte, 1<<20)
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			for _, mark := range []string{"go-zookeeper/zk.", "(*Session)", "(*Registrar)"} {
				if strings.Contains(stack, mark) {
					return false, stack
				}
			}
		}
		return true, ""
	})
}

// openFiles returns how many descriptors this process has open.
func openFiles(t *testing.T) int { return len(harness.Descriptors(t, os.Getpid())) }

// exists asks ZooKeeper for a znode.
func exists(s *Session, path string) (bool, error) {
	return Do(s, func(c *zk.Conn) (bool, error) {
		found, _, err := c.Exists(path)
		return found, err
	})
}

func TestSession(t *testing.T) {
	zookeeper := zktest.Start(t)

	t.Run("an address that can't be one is refused", func(t *testing.T) {
		_, err := NewSession("127.0.0.1:2181,zk2", time.Second)
		require.ErrorContains(t, err, `"zk2"`)
	})

	t.Run("who has no session is told what came of the latest attempt", func(t *testing.T) {
		s := newSession(t, "127.0.0.1:1", time.Minute)
		reason := func(want string) {
			t.Helper()
			harness.Eventually(t, soon, want, func() (bool, string) {
				_, err := exists(s, "/")
				require.ErrorIs(t, err, ErrNoSession)
				return strings.Contains(err.Error(), want), err.Error()
			})
		}
		reason("127.0.0.1:1: connect: connection refused")
		hole := newBlackHole(t, zookeeper.Addr())
		hole.swallows.Store(true)
		s = newSession(t, hole.addr, 200*time.Millisecond)
		reason(hole.addr + " accepts connections and says nothing")
		hole.swallows.Store(false)
		waitSession(t, s, soon)
		require.Nil(t, s.trouble)
	})

	t.Run("the end of a session is an answer, and no reason to complain of a server", func(t *testing.T) {
		tcp := &tcpConn{opened: time.Now(), patience: time.Minute, answer: make([]byte, timeoutEnd)}
		s := &Session{conn: &zk.Conn{}, tcp: tcp, lost: time.Now(), changed: make(chan struct{}, 1)}
		s.onEvent(0, zk.Event{State: zk.StateDisconnected, Server: "h:1"})
		require.Equal(t, ErrNoSession, s.noSession())

		tcp.answer = nil
		s.onEvent(0, zk.Event{State: zk.StateDisconnected, Server: "h:1"})
		require.ErrorContains(t, s.noSession(), "h:1 ends connections and opens no session")
	})

	t.Run("with nobody there nothing is sent, and nobody waits", func(t *testing.T) {
		s := newSession(t, "127.0.0.1:1", time.Minute)
		err := bounded(t, 500*time.Millisecond, func() error {
			_, err := Do(s, func(*zk.Conn) (any, error) {
				t.Error("called without a session")
				return nil, nil
			})
			return err
		})
		require.ErrorIs(t, err, ErrNoSession)
		close := func() error { return s.Close(context.Background()) }
		require.ErrorIs(t, bounded(t, 500*time.Millisecond, close), ErrNoSession)
		require.NoError(t, close(), "closed already")
	})

	t.Run("a name that can't be looked up may be known later", func(t *testing.T) {
		s := newSession(t, "nobody.invalid:2181,"+zookeeper.Addr(), time.Minute)
		waitSession(t, s, soon)
	})

	t.Run("of several addresses one is enough", func(t *testing.T) {
		openSession(t, "127.0.0.1:1,"+zookeeper.Addr(), time.Minute)
	})

	t.Run("closing ends the session and its znodes at once", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/closing")
		note := registry.Plant("note", "", false)
		s := openSession(t, zookeeper.Addr(), time.Minute)
		_, err := Do(s, func(c *zk.Conn) (string, error) {
			return c.Create("/closing/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		})
		require.NoError(t, err)
		require.NoError(t, s.Close(context.Background()))
		registry.Want(note)
		require.Nil(t, s.Conn())
		_, err = exists(s, "/closing/mine")
		require.ErrorIs(t, err, ErrNoSession)
	})

	t.Run("news arrive when a session is won and when it is lost", func(t *testing.T) {
		proxy := netproxy.StartT(t, zookeeper.Addr())
		s := newSession(t, proxy.Addr(), time.Minute)
		news := func(want bool) {
			t.Helper()
			deadline := time.After(soon)
			for (s.Conn() != nil) != want {
				select {
				case <-s.Changed():
				case <-deadline:
					require.FailNow(t, "no news", "session wanted: %v", want)
				}
			}
		}

		for range 3 {
			news(true)
			won := wonAt(s)
			proxy.Refuse()
			proxy.Reset()
			news(false)
			require.NoError(t, proxy.Heal())
			news(true)
			require.True(t, wonAt(s).After(won), "the age begins anew")
		}
	})

	t.Run("a cut connection or a lost session is replaced without the library's second of rest", func(t *testing.T) {
		gate := zktest.NewGate(t, zookeeper)
		s := openSession(t, gate.Addr(), time.Minute)
		for range 5 {
			id, won, begin := s.Conn().SessionID(), wonAt(s), time.Now()
			gate.Reset()
			harness.Eventually(t, soon, "the session won back", func() (bool, string) {
				return wonAt(s) != won, "not yet"
			})
			require.Equal(t, id, waitSession(t, s, soon))
			require.NoError(t, gate.Expire())
			waitSession(t, s, soon, id)
			require.Less(t, time.Since(begin), 900*time.Millisecond)
		}
	})

	t.Run("an answer that doesn't come is waited for as long as the session may last", func(t *testing.T) {
		s := openSession(t, zookeeper.Addr(), time.Second)
		begin, block := time.Now(), make(chan struct{})
		defer close(block)
		err := bounded(t, soon, func() error {
			_, err := Do(s, func(*zk.Conn) (any, error) { <-block; return nil, nil })
			return err
		})
		require.ErrorIs(t, err, ErrUnanswered)
		require.InDelta(t, time.Second, time.Since(begin), float64(900*time.Millisecond))
	})

	t.Run("a connection is prepared before each request, and one that isn't carries none", func(t *testing.T) {
		s := openSession(t, zookeeper.Addr(), time.Minute)
		var prepared []*zk.Conn
		s.Prepare = func(c *zk.Conn) error { prepared = append(prepared, c); return nil }
		for range 2 {
			_, err := exists(s, "/")
			require.NoError(t, err)
		}
		require.Equal(t, []*zk.Conn{s.Conn(), s.Conn()}, prepared)
		s.Prepare = func(*zk.Conn) error { return assert.AnError }
		_, err := Do(s, func(*zk.Conn) (any, error) {
			t.Error("called all the same")
			return nil, nil
		})
		require.ErrorIs(t, err, assert.AnError)
	})

	t.Run("a ZooKeeper that hangs: requests end, and so does a close", func(t *testing.T) {
		s, other := openSession(t, zookeeper.Addr(), 2*time.Second), openSession(t, zookeeper.Addr(), 2*time.Second)
		zookeeper.Pause()
		defer zookeeper.Resume()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		err := bounded(t, 900*time.Millisecond, func() error { return other.Close(ctx) })
		require.ErrorIs(t, err, ErrUnanswered)
		err = bounded(t, 3*time.Second, func() error { _, err := exists(s, "/"); return err })
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrNoSession, "it may have been sent")
		waitNoSession(t, s)
	})

	t.Run("a session may be closed while it begins", func(t *testing.T) {
		for range 20 {
			s, err := NewSession(zookeeper.Addr(), time.Minute)
			require.NoError(t, err)
			err = bounded(t, soon, func() error { return s.Close(context.Background()) })
			require.Contains(t, []error{nil, ErrNoSession}, err)
		}
	})

	t.Run("a close that nobody answers says so", func(t *testing.T) {
		gate := zktest.NewGate(t, zookeeper)
		s := openSession(t, gate.Addr(), soon)
		gate.Partition(netproxy.Both)
		err := bounded(t, 3*time.Second, func() error { return s.Close(context.Background()) })
		require.ErrorIs(t, err, ErrUnanswered)
	})

	t.Run("so does a close whose answer is cut off", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/cut")
		note := registry.Plant("note", "", false)
		gate := zktest.NewGate(t, zookeeper)
		s := openSession(t, gate.Addr(), soon)
		_, err := Do(s, func(c *zk.Conn) (string, error) {
			return c.Create("/cut/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		})
		require.NoError(t, err)

		gate.Partition(netproxy.ToClient)
		closed := make(chan error, 1)
		go func() { closed <- s.Close(context.Background()) }()
		registry.Wait(soon, "a closed session", func(nodes []zktest.Node) bool {
			return slices.Equal(nodes, []zktest.Node{note})
		})

		gate.Reset()
		require.ErrorIs(t, <-closed, ErrUnanswered)
	})

	t.Run("a connection that breaks is noticed by its writer, too", func(t *testing.T) {
		near, far := net.Pipe()
		c := &tcpConn{Conn: near}
		go func() { _, _ = far.Read(make([]byte, 1)) }()
		_, err := c.Write([]byte{1})
		require.NoError(t, err)
		require.False(t, c.broken.Load())
		far.Close()
		_, err = c.Write([]byte{1})
		require.Error(t, err)
		require.True(t, c.broken.Load())
	})

	t.Run("the library has a head start on every connection", func(t *testing.T) {
		proxy := netproxy.StartT(t, zookeeper.Addr())
		began := time.Now()
		s := openSession(t, proxy.Addr(), soon)
		_, err := exists(s, "/") // so that it has read an answer
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(began), headStart)

		id := s.Conn().SessionID()
		proxy.Refuse()
		proxy.Reset()
		waitNoSession(t, s)

		began = time.Now()
		require.NoError(t, proxy.Heal())
		require.Equal(t, id, waitSession(t, s, soon))
		_, err = exists(s, "/")
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(began), headStart)
	})

	t.Run("ZooKeeper wiped: a new session, on a new connection", func(t *testing.T) {
		s := openSession(t, zookeeper.Addr(), time.Second)
		for range 3 { // transactions that the wiped one has not seen
			_, err := Do(s, func(c *zk.Conn) (any, error) { return c.Set("/", nil, -1) })
			require.NoError(t, err)
		}
		id := s.Conn().SessionID()
		require.NoError(t, zookeeper.Wipe())
		waitSession(t, s, soon, id)
		_, err := exists(s, "/")
		require.NoError(t, err)
		assert.Equal(t, 2, s.generation)
	})

	t.Run("ZooKeeper killed and started again: the same session", func(t *testing.T) {
		s := openSession(t, zookeeper.Addr(), soon)
		id := s.Conn().SessionID()
		zookeeper.Kill()
		waitNoSession(t, s)
		require.NoError(t, zookeeper.Restart())
		require.Equal(t, id, waitSession(t, s, soon))
	})

	t.Run("closed in any state, it leaves no goroutine and no descriptor", func(t *testing.T) {
		waitQuiet(t)
		hole := newBlackHole(t, zookeeper.Addr())
		hole.swallows.Store(true)
		proxy := netproxy.StartT(t, zookeeper.Addr())
		before := openFiles(t)
		states := map[string]*Session{
			"open":      openSession(t, zookeeper.Addr(), time.Second),
			"refused":   newSession(t, "127.0.0.1:1", time.Second),
			"swallowed": newSession(t, hole.addr, 200*time.Millisecond),
			"lost":      openSession(t, proxy.Addr(), time.Second),
		}

		proxy.Refuse()
		proxy.Reset()
		waitNoSession(t, states["lost"])

		harness.Eventually(t, soon, "the swallowed session started anew", func() (bool, string) {
			states["swallowed"].mu.Lock()
			defer states["swallowed"].mu.Unlock()
			return states["swallowed"].generation > 1, "not yet"
		})

		for name, s := range states {
			err := s.Close(context.Background())
			if name == "open" {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, ErrNoSession, name)
			}
		}

		waitQuiet(t)
		harness.Eventually(t, soon, fmt.Sprint(before, " descriptors or less"), func() (bool, string) {
			open := openFiles(t)
			return open <= before, fmt.Sprint(open)
		})
	})
}
