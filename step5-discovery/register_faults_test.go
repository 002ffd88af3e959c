// Tests of the registration under faults: whatever is lost on the way between
// the registrar and ZooKeeper, there is exactly one znode in the end, and none
// when it is closed.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zktest"
)

func TestRegistrarUnderFaults(t *testing.T) {
	zookeeper := zktest.Start(t)

	t.Run("the reply to a create is lost: what it made is ours", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, time.Minute)
		note := registry.Plant("note", "", false)
		gate.DropReplies()
		r.SetServing(true)
		nodes := registry.Wait(soon, "a second node", func(nodes []zktest.Node) bool { return len(nodes) == 2 })
		require.Zero(t, watches(t, zookeeper, r), "it doesn't know yet")

		require.NoError(t, gate.Heal())
		waitRegistered(t, zookeeper, r)
		registry.Want(nodes...)

		log := harness.CaptureLog(t)
		require.True(t, closeRegistrar(t, r))
		require.NotContains(t, log(), "stays")
		registry.Want(note)
	})

	t.Run("the same, and then nobody answers at all for longer than a second", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, 10*time.Second)
		note := registry.Plant("note", "", false)

		gate.DropReplies()
		r.SetServing(true)
		nodes := registry.Wait(soon, "a second node", func(nodes []zktest.Node) bool { return len(nodes) == 2 })

		gate.Refuse()
		gate.Reset()
		begin := time.Now()
		waitNoSession(t, r.session)
		time.Sleep(1300*time.Millisecond - time.Since(begin)) // the length of the outage
		require.True(t, r.known.Load(), "clients may know of it")

		require.NoError(t, gate.Heal())
		waitRegistered(t, zookeeper, r)
		registry.Want(nodes...)
		require.True(t, closeRegistrar(t, r))
		registry.Want(note)
	})

	t.Run("the same, and the session expires: one node, in the new session", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, time.Minute)
		note := registry.Plant("note", "", false)
		gate.DropReplies()
		r.SetServing(true)
		registry.Wait(soon, "a second node", func(nodes []zktest.Node) bool { return len(nodes) == 2 })
		require.NoError(t, gate.Expire())
		waitRegistered(t, zookeeper, r)
		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 2)
		require.Contains(t, nodes, note)
	})

	t.Run("creates given up in a stall are all carried out, and one node is left", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, 2*time.Second)
		note := registry.Plant("note", "", false)

		zookeeper.Pause() // what is sent now is carried out later
		r.SetServing(true)
		waitNoSession(t, r.session)
		r.SetServing(false)
		r.SetServing(true)
		zookeeper.Resume()
		waitRegistered(t, zookeeper, r)

		nodes, err := registry.Nodes()
		require.NoError(t, err)
		require.Len(t, nodes, 2, "%v", nodes)

		require.NoError(t, gate.Heal())
		require.True(t, closeRegistrar(t, r))
		registry.Want(note)
	})

	t.Run("the reply to a withdrawal is lost", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, time.Minute)
		r.SetServing(true)
		waitRegistered(t, zookeeper, r)
		gate.DropReplies()
		r.SetServing(false)
		registry.WaitNone(soon)
		require.True(t, r.known.Load())
		require.NoError(t, gate.Heal())
		waitUnknown(t, r)
		r.SetServing(true)
		registry.WaitOne(soon, hereAddr)
	})

	t.Run("the same, and by then it is wanted again", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, time.Minute)
		r.SetServing(true)
		waitRegistered(t, zookeeper, r)
		gate.DropReplies()
		r.SetServing(false)
		registry.WaitNone(soon)
		r.SetServing(true)
		require.NoError(t, gate.Heal())
		registry.WaitOne(soon, hereAddr)
	})

	t.Run("closed with a create on its way: it never comes back", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, soon)
		note := registry.Plant("note", "", false)
		gate.Partition(netproxy.ToServer)
		r.SetServing(true)
		waitStack(t, ".(*Registrar).create")

		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		begin := time.Now()
		require.True(t, r.Close(ctx), "clients may know of it")
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

	t.Run("a close knows of a create that began after it", func(t *testing.T) {
		r := registrarInDoubt(t, zookeeper, "/close-first") // the test plays its run
		r.closing, r.done = make(chan struct{}), make(chan struct{})
		r.session.mu.Lock()
		was := make(chan bool, 1)
		go func() { was <- r.Close(t.Context()) }()
		waitStack(t, ".(*Session).Close(") // it waits for mu

		r.known.Store(true)
		r.session.mu.Unlock()
		close(r.done)
		require.True(t, <-was, "clients may know of it")
	})

	t.Run("a close knows of a withdrawal that ended after it began", func(t *testing.T) {
		r := registrarInDoubt(t, zookeeper, "/withdraw-first")
		r.closing, r.done = make(chan struct{}), make(chan struct{})
		r.known.Store(true)
		r.session.mu.Lock()
		was := make(chan bool, 1)
		go func() { was <- r.Close(t.Context()) }()
		waitStack(t, ".(*Session).Close(")

		r.known.Store(false)
		r.session.mu.Unlock()
		close(r.done)
		require.True(t, <-was, "clients may not know of it")
	})

	t.Run("a close takes no longer than its context, and says whether there was a registration", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, 2*time.Second)
		r.SetServing(true)
		waitRegistered(t, zookeeper, r)
		gate.Partition(netproxy.Both)

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		log := harness.CaptureLog(t)
		require.True(t, r.Close(ctx))
		require.Contains(t, log(), "the znode stays until its session times out")
		require.Less(t, time.Since(begin), 900*time.Millisecond)
		r.Close(ctx) // a second one does no harm
		registry.WaitNone(soon)
	})

	t.Run("nor does it wait for a step that takes longer", func(t *testing.T) {
		r := registrarInDoubt(t, zookeeper, "/step-goes-on") // the test plays its run, which never returns
		r.closing, r.done = make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		closed := make(chan struct{})
		go func() {
			r.Close(ctx)
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(soon):
			require.Fail(t, "it waits")
		}
	})

	t.Run("many faults in a row, and one node in the end", func(t *testing.T) {
		registry, gate, r := beginRegistrar(t, zookeeper, 2*time.Second)
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
		registry.Wait(2*soon, "one node beside the note, "+
			"and a registrar that knows it", func(nodes []zktest.Node) bool {
			return len(nodes) == 2 && nodes[1].Addr() == hereAddr &&
				slices.Contains(gate.Sessions(), nodes[1].Session) && watches(t, zookeeper, r) == 1
		})

		// The connection may just have been cut: then the session must time
		// out.
		closeRegistrar(t, r)
		registry.Wait(soon, "the note alone", func(nodes []zktest.Node) bool {
			return slices.Equal(nodes, []zktest.Node{note})
		})
	})
}

// waitStack waits until some goroutine is in a function of that name.
func waitStack(t *testing.T, function string) {
	t.Helper()
	harness.Eventually(t, soon, "a goroutine in "+function, func() (bool, string) {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), function), "none"
	})
}
