// Tests of the registration: whatever is lost on the way between the registrar
// and ZooKeeper, there is exactly one znode in the end, or none when it is
// closed, and nobody else's is touched.

package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zkdev"
)

func TestParseEndpoint(t *testing.T) {
	for data, want := range map[string]string{
		`{"host":"127.0.0.1","port":8080}`:      "127.0.0.1:8080",
		`{"port": 1, "host": "server.example"}`: "server.example:1",
		`{"host":"::1","port":65535}`:           "[::1]:65535",
		`{"host":"h","port":80,"weight":3}`:     "h:80", // more than we know of does no harm
		``:                                      "",
		`8080`:                                  "",
		`null`:                                  "",
		`{}`:                                    "",
		`{"host":"","port":80}`:                 "",
		`{"host":"h"}`:                          "",
		`{"host":"h","port":0}`:                 "",
		`{"host":"h","port":65536}`:             "",
		`{"host":"h","port":-1}`:                "",
		`{"host":"h","port":"80"}`:              "",
		`{"host":"h","port":80.5}`:              "",
		`{"host":"h","port":80}{"host":"h","port":80}`: "",
	} {
		addr, err := ParseEndpoint([]byte(data))
		assert.Equal(t, want, addr, data)
		assert.Equal(t, want == "", err != nil, "%s: %v", data, err)
	}
}

func TestRegisterableHost(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "localhost", "10.0.0.1", "server.example", "1::"} {
		got, err := RegisterableHost("", host)
		require.NoError(t, err)
		assert.Equal(t, host, got)
	}
	for _, host := range []string{"0.0.0.0", "::", "0", "0:0:0:0:0:0:0:0", ""} {
		_, err := RegisterableHost("", host)
		require.ErrorContains(t, err, "-advertise", host)
		got, err := RegisterableHost("server.example", host)
		require.NoError(t, err)
		assert.Equal(t, "server.example", got)
	}
}

func TestCheckRoot(t *testing.T) {
	for _, root := range []string{"/demo", "/a/b/c", "/a.b", "/.a", "/a..", "/ä"} {
		assert.NoError(t, CheckRoot(root))
	}
	for _, root := range []string{"", "/", "demo", "/demo/", "//demo", "/a//b", "/a/./b", "/a/../b", "/.", "/.."} {
		assert.Error(t, CheckRoot(root), root)
	}
}

var here = Endpoint{Host: "127.0.0.1", Port: 8080}

const hereAddr = "127.0.0.1:8080"

// newRegistrar starts a registrar with a session at that address. It is closed
// at the end of the test.
func newRegistrar(t *testing.T, zookeeper, root string, timeout time.Duration, endpoint Endpoint) *Registrar {
	t.Helper()
	session, err := NewSession(zookeeper, timeout)
	require.NoError(t, err)
	r := NewRegistrar(session, root, endpoint)
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// waitRegistered waits until the registrar itself knows whether it is.
func waitRegistered(t *testing.T, r *Registrar, want bool) {
	t.Helper()
	harness.Eventually(t, 2*soon, fmt.Sprintf("registered: %v", want), func() (bool, string) {
		return r.registered.Load() == want, fmt.Sprint(r.registered.Load())
	})
}

func TestRegistrar(t *testing.T) {
	zookeeper := zkdev.StartT(t)
	var roots atomic.Int64
	// begin returns a registry whose root exists, and a registrar that reaches
	// ZooKeeper through the gate and has a session.
	begin := func(t *testing.T, timeout time.Duration) (*zkdev.Registry, *zkdev.Gate, *Registrar) {
		t.Helper()
		registry := zkdev.RegistryT(t, zookeeper, fmt.Sprintf("/register-%d", roots.Add(1)))
		gate := zkdev.GateT(t, zookeeper)
		r := newRegistrar(t, gate.Addr(), registry.Root, timeout, here)
		waitSession(t, r.session, soon)
		return registry, gate, r
	}

	t.Run("registered while it is wanted, in the same session", func(t *testing.T) {
		registry, gate, r := begin(t, time.Minute)
		for range 3 {
			for range 100 {
				r.SetServing(true)
			}
			registry.WaitOne(soon, hereAddr)
			waitRegistered(t, r, true)
			r.SetServing(false)
			registry.WaitNone(soon)
			waitRegistered(t, r, false)
		}
		require.Len(t, gate.Sessions(), 1)
		require.False(t, r.Close(t.Context()), "it was not registered")
	})

	t.Run("eight come at once to a root that isn't there", func(t *testing.T) {
		registry := zkdev.RegistryT(t, zookeeper, "/many/at/once")
		want := map[string]bool{}
		for i := range 8 {
			endpoint := Endpoint{Host: "server.example", Port: 1 + i}
			want[fmt.Sprintf("server.example:%d", 1+i)] = true
			newRegistrar(t, zookeeper.Addr(), registry.Root, time.Minute, endpoint).SetServing(true)
		}
		registry.Wait(soon, "8 nodes", func(nodes []zkdev.Node) bool {
			got := map[string]bool{}
			for _, node := range nodes {
				got[node.Addr()] = true
			}
			return len(nodes) == 8 && assert.ObjectsAreEqual(want, got)
		})
	})

	t.Run("the reply to a create is lost: what it made is ours", func(t *testing.T) {
		registry, gate, r := begin(t, time.Minute)
		note := registry.Plant("note", "", false)
		gate.DropReplies()
		r.SetServing(true)
		nodes := registry.Wait(soon, "a second node", func(nodes []zkdev.Node) bool { return len(nodes) == 2 })
		require.False(t, r.registered.Load())
		require.NoError(t, gate.Heal())
		waitRegistered(t, r, true)
		registry.Want(nodes...)
		require.True(t, r.Close(t.Context()))
		registry.Want(note)
	})

	t.Run("the same, and then nobody answers at all for longer than a second", func(t *testing.T) {
		registry, gate, r := begin(t, 10*time.Second)
		note := registry.Plant("note", "", false)
		gate.DropReplies()
		r.SetServing(true)
		nodes := registry.Wait(soon, "a second node", func(nodes []zkdev.Node) bool { return len(nodes) == 2 })
		gate.Refuse()
		gate.Reset()
		begin := time.Now()
		waitNoSession(t, r.session)
		time.Sleep(1300*time.Millisecond - time.Since(begin)) // the length of the outage
		require.NoError(t, gate.Heal())
		waitRegistered(t, r, true)
		registry.Want(nodes...)
		require.True(t, r.Close(t.Context()))
		registry.Want(note)
	})

	t.Run("the same, and the session expires: one node, in the new session", func(t *testing.T) {
		registry, gate, r := begin(t, time.Minute)
		note := registry.Plant("note", "", false)
		gate.DropReplies()
		r.SetServing(true)
		registry.Wait(soon, "a second node", func(nodes []zkdev.Node) bool { return len(nodes) == 2 })
		require.NoError(t, gate.Expire())
		waitRegistered(t, r, true)
		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 2)
		require.Contains(t, nodes, note)
	})

	t.Run("creates given up in a stall are all carried out, and one node is left", func(t *testing.T) {
		registry, gate, r := begin(t, 2*time.Second)
		note := registry.Plant("note", "", false)
		zookeeper.Pause() // what is sent now is carried out later
		r.SetServing(true)
		waitNoSession(t, r.session)
		r.SetServing(false)
		r.SetServing(true)
		zookeeper.Resume()
		waitRegistered(t, r, true)
		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 2, "%v", nodes)
		require.NoError(t, gate.Heal())
		require.True(t, r.Close(t.Context()))
		registry.Want(note)
	})

	t.Run("the reply to a withdrawal is lost", func(t *testing.T) {
		registry, gate, r := begin(t, time.Minute)
		r.SetServing(true)
		waitRegistered(t, r, true)
		gate.DropReplies()
		r.SetServing(false)
		registry.WaitNone(soon)
		require.True(t, r.registered.Load())
		require.NoError(t, gate.Heal())
		waitRegistered(t, r, false)
		r.SetServing(true)
		registry.WaitOne(soon, hereAddr)
	})

	// The next two decide what happens in doubt by hand, without the goroutine.
	inDoubt := func(t *testing.T, root string) *Registrar {
		t.Helper()
		data, err := encode(here)
		require.NoError(t, err)
		r := &Registrar{session: openSession(t, zookeeper.Addr(), time.Minute), root: root, data: data, mine: map[int64]bool{}, doubt: true}
		r.wanted.Store(true)
		return r
	}

	t.Run("in doubt, what an earlier session of ours left is deleted", func(t *testing.T) {
		registry := zkdev.RegistryT(t, zookeeper, "/earlier")
		old := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8080}`, true)
		r := inDoubt(t, registry.Root)
		r.mine[old.Session] = true
		require.NoError(t, r.reconcile())
		node := registry.WaitOne(0, hereAddr, old)
		require.Equal(t, r.node, registry.Root+"/"+node.Name)
		require.False(t, r.doubt)
	})

	t.Run("in doubt, of two that we made one is kept", func(t *testing.T) {
		registry := zkdev.RegistryT(t, zookeeper, "/two")
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
		registry := zkdev.RegistryT(t, zookeeper, "/others")
		same := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8080}`, true) // the server before us, perhaps
		different := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8081}`, true)
		persistent := registry.Plant("rpc-", `{"host":"127.0.0.1","port":8080}`, false)
		r := inDoubt(t, registry.Root)
		require.NoError(t, r.reconcile())
		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 4)
		require.Equal(t, []zkdev.Node{same, different, persistent}, nodes[:3])

		r.mine[different.Session] = true // as if our own session had made other nodes, too
		r.mine[same.Session] = true
		r.doubt = true
		require.NoError(t, r.reconcile())
		registry.Want(different, persistent, nodes[3])
	})

	t.Run("nothing is created in doubt until a list says what there is", func(t *testing.T) {
		registry := zkdev.RegistryT(t, zookeeper, "/unlisted")
		registry.Plant("note", "", true)
		gate := zkdev.GateT(t, zookeeper)
		r := inDoubt(t, registry.Root)
		r.session = openSession(t, gate.Addr(), time.Second)
		gate.DropReplies()
		require.Error(t, r.reconcile())
		require.True(t, r.doubt)
		require.Empty(t, r.mine, "no create was tried")
	})

	t.Run("closed with a create on its way: it never comes back", func(t *testing.T) {
		registry, gate, r := begin(t, soon)
		note := registry.Plant("note", "", false)
		gate.Partition(netproxy.ToServer)
		r.SetServing(true)
		harness.Eventually(t, soon, "a create on its way", func() (bool, string) {
			stacks := make([]byte, 1<<20)
			return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), ".(*Registrar).create"), "no goroutine in create"
		})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		begin := time.Now()
		require.False(t, r.Close(ctx), "it was not registered as far as it knows")
		require.Less(t, time.Since(begin), 900*time.Millisecond)
		r.SetServing(true)
		require.NoError(t, gate.Heal()) // what was sent arrives now
		harness.Eventually(t, soon, "the end of every connection", func() (bool, string) {
			return gate.Conns() == 0, fmt.Sprint(gate.Conns())
		})
		registry.Want(note)
		select {
		case <-r.done:
		default:
			require.Fail(t, "the registrar goes on")
		}
	})

	t.Run("a close takes no longer than its context, and says whether there was a registration", func(t *testing.T) {
		registry, gate, r := begin(t, 2*time.Second)
		r.SetServing(true)
		waitRegistered(t, r, true)
		gate.Partition(netproxy.Both)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		require.True(t, r.Close(ctx))
		require.Less(t, time.Since(begin), 900*time.Millisecond)
		r.Close(ctx) // a second one does no harm
		registry.WaitNone(soon)
	})

	t.Run("it tries again, later and later, and not in step with others", func(t *testing.T) {
		registry := zkdev.RegistryT(t, zookeeper, "/leaf")
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
		var firsts []time.Duration
		for i := range servers {
			what := fmt.Sprintf("create /leaf/leaf/%d:", i)
			var at []time.Time
			harness.Eventually(t, soon, "four failures", func() (bool, string) {
				at = failures.of(what)
				return len(at) >= 4, fmt.Sprint(at)
			})
			for retry := range 3 {
				pause := at[retry+1].Sub(at[retry])
				longest := 200 * time.Millisecond << retry
				assert.GreaterOrEqual(t, pause, longest/2)
				assert.Less(t, pause, longest+500*time.Millisecond)
				if retry == 0 {
					firsts = append(firsts, pause)
				}
			}
		}
		slices.Sort(firsts)
		assert.Greater(t, firsts[servers-1]-firsts[0], 10*time.Millisecond, "%v", firsts)
	})

	t.Run("closed, it leaves no goroutine and no descriptor", func(t *testing.T) {
		files := func() int { return len(harness.Descriptors(t, os.Getpid())) }
		goroutines, before := runtime.NumGoroutine(), files()
		for _, addr := range []string{zookeeper.Addr(), "127.0.0.1:1"} {
			r := newRegistrar(t, addr, "/leak", time.Minute, here)
			r.SetServing(true)
			waitRegistered(t, r, addr == zookeeper.Addr())
			r.Close(t.Context())
		}
		harness.Eventually(t, soon, "goroutines and descriptors as before", func() (bool, string) {
			left, open := runtime.NumGoroutine(), files()
			stacks := make([]byte, 1<<20)
			return left <= goroutines && open <= before, string(stacks[:runtime.Stack(stacks, true)])
		})
	})

	t.Run("many faults in a row, and one node in the end", func(t *testing.T) {
		registry, gate, r := begin(t, 2*time.Second)
		note := registry.Plant("note", "", false)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		faults := []func(){
			func() { gate.Reset() },
			func() { gate.Cut() },
			func() { _ = gate.Expire() }, // there may be no session to end
			func() { gate.DropReplies() },
			func() { gate.Partition(netproxy.ToServer) },
			func() { gate.Partition(netproxy.ToClient) },
			func() { gate.Delay(20 * time.Millisecond) },
			func() { gate.Refuse(); gate.Reset() },
			func() { r.SetServing(false) },
			func() { r.SetServing(true) },
		}
		for begin := time.Now(); time.Since(begin) < 3*time.Second; {
			faults[random.IntN(len(faults))]()
			time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond) // how far it gets is the dice's to say
			if random.IntN(3) == 0 {
				require.NoError(t, gate.Heal())
			}
		}
		require.NoError(t, gate.Heal())
		r.SetServing(true)
		registry.Wait(2*soon, "one node beside the note, and a registrar that knows it", func(nodes []zkdev.Node) bool {
			return len(nodes) == 2 && nodes[1].Addr() == hereAddr && slices.Contains(gate.Sessions(), nodes[1].Session) && r.registered.Load()
		})
		require.True(t, r.Close(t.Context()))
		registry.Want(note)
	})
}

// failureLog is when which failure was logged.
type failureLog struct {
	slog.Handler
	mu sync.Mutex
	at map[string][]time.Time
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
