// Tests of the introduction: each connection to ZooKeeper is told who we are
// before it is asked for anything, whatever is lost on the way.

package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

// An introduced is a session that uses credentials, through a gate.
type introduced struct {
	*Session
	t    *testing.T
	gate *zktest.Gate
	*introduction
}

func newIntroduced(t *testing.T, zookeeper *zkdev.Server, timeout time.Duration) introduced {
	t.Helper()
	gate := zktest.NewGate(t, zookeeper)
	s, err := NewSession(gate.Addr(), timeout)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	i := introduced{
		Session: s, t: t, gate: gate,
		introduction: &introduction{scheme: "digest", auth: []byte(ours), timeout: timeout},
	}
	s.Prepare = i.prepare
	i.waitSession()
	return i
}

func (i introduced) waitSession() {
	i.t.Helper()
	harness.Eventually(i.t, soon, "a session", func() (bool, string) { return i.Conn() != nil, "none" })
}

// create makes a znode that is open to ourselves alone: without credentials
// ZooKeeper doesn't take such an ACL.
func (i introduced) create() error {
	_, err := Do(i.Session, func(c *zk.Conn) (string, error) {
		return c.Create("/introduced", nil, zk.FlagEphemeral|zk.FlagSequence, zk.AuthACL(zk.PermAll))
	})
	return err
}

// wantCreate expects that a create works as soon as there is a connection, and
// that none before reaches ZooKeeper without an introduction.
func (i introduced) wantCreate() {
	i.t.Helper()
	harness.Eventually(i.t, soon, "a create", func() (bool, string) {
		err := i.create()
		require.NotErrorIs(i.t, err, zk.ErrInvalidACL)
		return err == nil, fmt.Sprint(err)
	})
}

func TestIntroduction(t *testing.T) {
	zookeeper := zktest.Start(t)

	t.Run("by whoever comes first, when many ask at once", func(t *testing.T) {
		i := newIntroduced(t, zookeeper, soon)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { assert.NoError(t, i.create()) })
		}
		all.Wait()
	})

	t.Run("once, and not before each request", func(t *testing.T) {
		i := newIntroduced(t, zookeeper, soon)
		i.wantCreate()
		i.gate.Partition(netproxy.Both)
		began := time.Now()
		require.NoError(t, i.prepare(i.Conn()))
		assert.Less(t, time.Since(began), soon/4, "it had nothing to ask")
	})

	t.Run("it is repeated in a connection that is made again, in a session that is, "+
		"and for a ZooKeeper that was wiped", func(t *testing.T) {
		own := zktest.Start(t)
		i := newIntroduced(t, own, time.Second)
		i.wantCreate()
		i.gate.Reset()
		i.wantCreate()
		require.NoError(t, i.gate.Expire())
		i.wantCreate()
		require.NoError(t, own.Wipe())
		i.wantCreate()
	})

	t.Run("one whose answer is lost is made again, and nothing is sent before", func(t *testing.T) {
		i := newIntroduced(t, zookeeper, soon)
		i.gate.DropReplies()
		lost := make(chan error, 1)
		go func() { lost <- i.create() }()
		harness.Eventually(t, soon, "a lost answer", func() (bool, string) { return i.gate.Dropped() > 0, "none" })
		require.NoError(t, i.gate.Heal())
		err := receive(t, lost, "the end of a create")
		assert.ErrorIs(t, err, ErrNoSession)
		assert.False(t, isAmbiguous(err))
		i.wantCreate()
	})

	t.Run("one that isn't answered at all ends in time, for everyone who waits", func(t *testing.T) {
		i := newIntroduced(t, zookeeper, 2*time.Second)
		i.gate.Partition(netproxy.Both)
		var all sync.WaitGroup
		began := time.Now()
		for range 20 {
			all.Go(func() { assert.ErrorIs(t, i.create(), ErrNoSession) })
		}
		all.Wait()
		assert.Less(t, time.Since(began), soon/2)
		require.NoError(t, i.gate.Heal())
		i.wantCreate()
	})

	t.Run("not on a connection that was lost: the library would wait for the next one", func(t *testing.T) {
		i := newIntroduced(t, zookeeper, time.Minute)
		conn := i.Conn()
		i.gate.Partition(netproxy.Both)
		i.gate.Reset()
		harness.Eventually(t, soon, "no session", func() (bool, string) { return i.Conn() == nil, "still one" })
		began := time.Now()
		require.ErrorIs(t, i.prepare(conn), ErrNoSession)
		assert.Less(t, time.Since(began), soon/2)
	})

	t.Run("credentials of a kind that ZooKeeper doesn't take are offered again, but not at once", func(t *testing.T) {
		log := harness.CaptureLog(t)
		i := newIntroduced(t, zookeeper, soon)
		i.scheme = "nonsense"
		began := time.Now()

		for range 100 {
			err := i.create()
			for ; errors.Is(err, ErrNoSession); err = i.create() {
				i.waitSession() // ZooKeeper ends the connection, too
			}
			require.ErrorIs(t, err, zk.ErrAuthFailed)
			require.ErrorContains(t, err, "nonsense")
			i.waitSession()
		}

		offered := 1 + int(time.Since(began)/refusedPause)
		assert.LessOrEqual(t, strings.Count(log(), "connection lost"), offered)
		i.scheme = "digest"
		i.wantCreate()
	})
}
