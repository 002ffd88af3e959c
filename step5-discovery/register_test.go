// Tests of the registration: what it accepts, what it creates and takes away,
// and what it leaves alone.

package main

import (
	"context"
	"fmt"
	"log/slog"
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
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

var here = Endpoint{Host: "127.0.0.1", Port: 8080}

const hereAddr = "127.0.0.1:8080"

// newRegistrar starts a registrar with a session at that address. It is closed
// at the end of the test.
func newRegistrar(t *testing.T, zookeeper, root string, timeout time.Duration, endpoint Endpoint) *Registrar {
	t.Helper()
	session, err := NewSession(zookeeper, timeout)
	require.NoError(t, err)
	r := NewRegistrar(session, root, endpoint)
	t.Cleanup(func() { closeRegistrar(t, r) })
	return r
}

// closeRegistrar returns what Close returns, which must not be long in coming.
func closeRegistrar(t *testing.T, r *Registrar) (wasRegistered bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	wasRegistered = r.Close(ctx)
	assert.NoError(t, ctx.Err(), "the registrar goes on")
	return wasRegistered
}

// waitRegistered waits until the registrar itself knows that it is registered:
// it watches its znode then.
func waitRegistered(t *testing.T, zookeeper *zkdev.Server, r *Registrar) {
	t.Helper()
	harness.Eventually(t, 2*soon, "a znode that the registrar watches", func() (bool, string) {
		n := watches(t, zookeeper, r)
		return n > 0, fmt.Sprint(n)
	})
}

// waitUnknown waits until the registrar itself knows that there is no znode.
func waitUnknown(t *testing.T, r *Registrar) {
	t.Helper()
	harness.Eventually(t, 2*soon, "nothing for clients to know", func() (bool, string) {
		return !r.known.Load(), "there may be a znode"
	})
}

// watches returns how many watches on znodes' data the registrar's session has
// at that member of ZooKeeper.
func watches(t *testing.T, zookeeper *zkdev.Server, r *Registrar) int {
	t.Helper()
	conn := r.session.Conn()
	if conn == nil {
		return 0
	}

	all, err := zookeeper.FourLetter("wchc") // a session, and below it the paths, indented
	require.NoError(t, err)
	_, ours, _ := strings.Cut(all, fmt.Sprintf("%#x\n", conn.SessionID()))
	n := 0
	for line := range strings.Lines(ours) {
		if !strings.HasPrefix(line, "\t") {
			break
		}
		n++
	}
	return n
}

var registrarRoots atomic.Int64

// beginRegistrar returns a registry whose root exists for nobody else, and a
// registrar that reaches ZooKeeper through the gate and has a session.
func beginRegistrar(
	t *testing.T, zookeeper *zkdev.Server, timeout time.Duration,
) (*zktest.Registry, *zktest.Gate, *Registrar) {
	t.Helper()
	registry := zktest.NewRegistry(t, zookeeper, fmt.Sprintf("/register-%d", registrarRoots.Add(1)))
	gate := zktest.NewGate(t, zookeeper)
	r := newRegistrar(t, gate.Addr(), registry.Root, timeout, here)
	waitSession(t, r.session, soon)
	return registry, gate, r
}

func TestRegistrar(t *testing.T) {
	zookeeper := zktest.Start(t)

	t.Run("registered while it is wanted, in the same session", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, time.Minute)
		for range 3 {
			for range 100 {
				r.SetServing(true)
			}
			registry.WaitOne(soon, hereAddr)
			waitRegistered(t, zookeeper, r)
			r.SetServing(false)
			registry.WaitNone(soon)
			waitUnknown(t, r)
		}

		require.Len(t, gate.Sessions(), 1)
		require.False(t, closeRegistrar(t, r), "it was not registered")
	})

	t.Run("eight come at once to a root that isn't there", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/many/at/once")
		want := map[string]bool{}
		for i := range 8 {
			endpoint := Endpoint{Host: "server.example", Port: 1 + i}
			want[fmt.Sprintf("server.example:%d", 1+i)] = true
			newRegistrar(t, zookeeper.Addr(), registry.Root, time.Minute, endpoint).SetServing(true)
		}
		registry.Wait(soon, "8 nodes", func(nodes []zktest.Node) bool {
			got := map[string]bool{}
			for _, node := range nodes {
				got[node.Addr()] = true
			}
			return len(nodes) == 8 && assert.ObjectsAreEqual(want, got)
		})
	})

	inDoubt := func(t *testing.T, root string) *Registrar { return registrarInDoubt(t, zookeeper, root) }

	t.Run("in doubt, what an earlier session of ours left is deleted", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/earlier")
		old := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8080}`, true)
		r := inDoubt(t, registry.Root)
		r.mine[old.Session] = true
		require.NoError(t, r.reconcile())
		node := registry.WaitOne(0, hereAddr, old)
		require.Equal(t, r.node, registry.Root+"/"+node.Name)
		require.False(t, r.doubt)
	})

	t.Run("in doubt, of two that we made one is kept", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/two")
		r := inDoubt(t, registry.Root)
		registry.Plant("note", "", true)
		require.NoError(t, r.create(r.session.Conn().SessionID()))
		require.NoError(t, r.create(r.session.Conn().SessionID()))
		r.node, r.doubt = "", true
		require.NoError(t, r.reconcile())
		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 2)
		require.Equal(t, r.node, registry.Root+"/"+nodes[1].Name)
	})

	t.Run("in doubt, what belongs to others is left alone", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/others")
		same := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8080}`, true) // the server before us, perhaps
		different := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8081}`, true)
		persistent := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8080}`, false)
		r := inDoubt(t, registry.Root)
		require.NoError(t, r.reconcile())
		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 4)
		require.Equal(t, []zktest.Node{same, different, persistent}, nodes[:3])

		r.mine[different.Session] = true // as if our own session had made other nodes, too
		r.mine[same.Session] = true
		r.mine[persistent.Session] = true // nobody's: 0
		r.doubt = true
		require.NoError(t, r.reconcile())
		registry.Want(different, persistent, nodes[3])
	})

	t.Run("a create in a session that is not the one we asked for leaves a doubt", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/changed")
		r := inDoubt(t, registry.Root)
		r.doubt = false
		now := r.session.Conn().SessionID()
		require.ErrorIs(t, r.create(now-1), zk.ErrSessionExpired, "as if it had ended since we looked")
		require.Empty(t, r.node)
		require.True(t, r.doubt)
		require.True(t, r.known.Load(), "clients may know of a znode before we do")

		require.NoError(t, r.reconcile())
		node := registry.WaitOne(0, hereAddr)
		require.Equal(t, r.node, registry.Root+"/"+node.Name)
		require.Equal(t, r.owner, now)
	})

	t.Run("what ZooKeeper refused doesn't leave a doubt", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/refusing")
		registry.Plant("leaf", "", true) // an ephemeral znode can't have children
		r := inDoubt(t, registry.Root+"/leaf")
		r.doubt = false
		require.ErrorIs(t, r.reconcile(), zk.ErrNoChildrenForEphemerals)
		require.False(t, r.doubt)
	})

	t.Run("nothing is created in doubt until a list says what there is", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/unlisted")
		registry.Plant("note", "", true)
		gate := zktest.NewGate(t, zookeeper)
		r := inDoubt(t, registry.Root)
		r.session = openSession(t, gate.Addr(), time.Second)
		gate.DropReplies()
		require.Error(t, r.reconcile())
		require.True(t, r.doubt)
		require.Empty(t, r.mine, "no create was tried")
	})

	t.Run("nor by a list that is refused", func(t *testing.T) {
		_, err := dial(t, zookeeper).Create("/unreadable", nil, 0, zk.WorldACL(zk.PermCreate))
		require.NoError(t, err)
		r := inDoubt(t, "/unreadable")
		require.ErrorIs(t, r.reconcile(), zk.ErrNoAuth)
		require.True(t, r.doubt)
		require.Empty(t, r.mine, "no create was tried")
	})

	t.Run("a look without an answer doesn't say that our znode is gone", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/unseen")
		gate := zktest.NewGate(t, zookeeper)
		r := inDoubt(t, registry.Root)
		r.session, r.doubt = openSession(t, gate.Addr(), time.Second), false
		id := r.session.Conn().SessionID()
		require.NoError(t, r.create(id))
		node := r.node

		gate.DropReplies()
		err := r.guard(id)
		require.Error(t, err)
		require.NotErrorIs(t, err, errTaken)
		require.Equal(t, node, r.node)
	})

	t.Run("it tries again, later and later, and not in step with others", func(t *testing.T) {
		registry := zktest.NewRegistry(t, zookeeper, "/leaf")
		registry.Plant("leaf", "", true) // an ephemeral znode can't have children
		failures := recordFailures(t)

		const servers = 8
		var all []*Registrar
		for i := range servers {
			r := newRegistrar(t, zookeeper.Addr(), fmt.Sprintf("/leaf/leaf/%d", i), time.Minute, here)
			waitSession(t, r.session, soon)
			all = append(all, r)
		}
		for _, r := range all {
			r.SetServing(true)
		}

		var pauses [3][]time.Duration // by retry, those of all servers
		for i := range servers {
			what := fmt.Sprintf("create /leaf/leaf/%d:", i)
			var at []time.Time
			harness.Eventually(t, soon, "four failures", func() (bool, string) {
				at = failures.of(what)
				if len(at) > 1 && at[1].Sub(at[0]) < 50*time.Millisecond {
					at = at[1:] // news of the session came in: it need not wait after that
				}
				return len(at) >= 4, fmt.Sprint(at)
			})

			for retry := range 3 {
				pause := at[retry+1].Sub(at[retry])
				longest := 200 * time.Millisecond << retry
				assert.GreaterOrEqual(t, pause, longest/2)
				pauses[retry] = append(pauses[retry], pause)
			}
		}

		var widest time.Duration // a busy machine that stands still for a moment brings them together once
		for retry, all := range pauses {
			// Nothing bounds the longest.
			assert.Less(t, slices.Min(all), 200*time.Millisecond<<retry+500*time.Millisecond)
			widest = max(widest, slices.Max(all)-slices.Min(all))
		}
		assert.Greater(t, widest, 10*time.Millisecond, "%v", pauses)
	})

	t.Run("closed, it leaves no goroutine and no descriptor", func(t *testing.T) {
		waitQuiet(t)
		before := openFiles(t)
		for _, addr := range []string{zookeeper.Addr(), "127.0.0.1:1"} {
			r := newRegistrar(t, addr, "/leak", time.Minute, here)
			r.SetServing(true)
			if addr == zookeeper.Addr() {
				waitRegistered(t, zookeeper, r)
			}
			closeRegistrar(t, r)
		}
		waitQuiet(t)
		require.LessOrEqual(t, openFiles(t), before)
	})
}

// The pauses grow up to the longest, and servers that fail together don't try
// again together.
func TestRetryPause(t *testing.T) {
	const ms, longest = time.Millisecond, 3 * time.Second

	for failures, whole := range []time.Duration{200 * ms, 400 * ms, 800 * ms, 1600 * ms, longest, longest} {
		var pauses []time.Duration
		for range 100 {
			pause := retryPause(failures, longest)
			assert.GreaterOrEqual(t, pause, whole/2)
			assert.Less(t, pause, whole)
			pauses = append(pauses, pause)
		}
		assert.Greater(t, slices.Max(pauses)-slices.Min(pauses), whole/4, "%d failures: hardly spread", failures)
	}

	assert.Less(t, retryPause(1000, longest), longest)
}

// What goes wrong after all was well for a while is new: it begins with short
// pauses again.
func TestTroubleIsForgotten(t *testing.T) {
	tr := trouble{retries: 7, last: time.Now().Add(-calm / 2)}
	tr.log(zk.ErrNoAuth, true)
	assert.Equal(t, 7, tr.retries, "it goes on")

	tr.last = time.Now().Add(-calm - time.Second)
	tr.log(zk.ErrNoAuth, true)
	assert.Zero(t, tr.retries)
}

// Each trouble is worth one warning. A missing session is worth one when it
// stays away, whatever the reason, and when we aren't registered.
func TestTroubleIsWarnedOfOnce(t *testing.T) {
	log := harness.CaptureLog(t)
	var tr trouble
	warnings := func(want int, err error, registered bool) {
		t.Helper()
		before := strings.Count(log(), "WARN")
		tr.log(err, registered)
		assert.Equal(t, want, strings.Count(log(), "WARN")-before, "%v", err)
	}

	warnings(1, zk.ErrNoAuth, true)
	assert.Contains(t, log(), "registered, as far as we know")
	assert.NotContains(t, log(), "not registered")
	warnings(0, zk.ErrNoAuth, true)
	warnings(1, zk.ErrNoChildrenForEphemerals, false)
	assert.Contains(t, log(), "not registered")

	away := fmt.Errorf("%w: connection refused", ErrNoSession)
	tr.retries = quietRetries - 1
	warnings(0, away, false)
	tr.retries = quietRetries
	warnings(0, away, true)
	tr.warned = "" // as after a success
	warnings(1, away, false)
	warnings(0, fmt.Errorf("%w: no route to host", ErrNoSession), false)
}

// registrarInDoubt returns a registrar without its goroutine, so that a test
// decides by hand what happens in doubt.
func registrarInDoubt(t *testing.T, zookeeper *zkdev.Server, root string) *Registrar {
	t.Helper()
	data, err := encode(here)
	require.NoError(t, err)
	r := &Registrar{
		ACL:     func(string) []zk.ACL { return zk.WorldACL(zk.PermAll) },
		session: openSession(t, zookeeper.Addr(), time.Minute),
		root:    root, data: data, mine: map[int64]bool{}, doubt: true,
	}
	r.wanted.Store(true)
	return r
}

// failureLog is when which failure was logged, at whatever level.
type failureLog struct {
	slog.Handler
	mu       sync.Mutex
	at       map[string][]time.Time
	warnings []string
}

// recordFailures notes from now on, until the end of the test, the failures
// that are logged.
func recordFailures(t *testing.T) *failureLog {
	l := &failureLog{Handler: slog.DiscardHandler, at: map[string][]time.Time{}}
	before := slog.Default()
	slog.SetDefault(slog.New(l))
	t.Cleanup(func() { slog.SetDefault(before) })
	return l
}

func (l *failureLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *failureLog) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "err" {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.at[attr.Value.String()] = append(l.at[attr.Value.String()], record.Time)
			if record.Level >= slog.LevelWarn {
				l.warnings = append(l.warnings, attr.Value.String())
			}
		}
		return true
	})
	return nil
}

// of returns when failures that begin like this were logged.
func (l *failureLog) of(beginning string) (all []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for text, at := range l.at {
		if strings.HasPrefix(text, beginning) {
			all = append(all, at...)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}
