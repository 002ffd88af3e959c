// Tests of the gate: it expires the sessions made through it every time, no
// others, and passes everything else.

package zktest

import (
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zkdev"
)

func TestGateExpiresSessionsEveryTime(t *testing.T) {
	s := Start(t)
	g := NewGate(t, s)
	require.ErrorContains(t, g.Expire(), "none was opened")
	stranger := Connect(t, s.Addr())
	stranger.CreateEphemeral(t, "/stranger")
	c := Connect(t, g.Addr())

	for i := 1; i <= 10; i++ {
		c.CreateEphemeral(t, "/mine")
		id := c.SessionID()
		require.Equal(t, []int64{id}, g.Sessions())

		start := time.Now()
		require.NoError(t, g.Expire())
		took := time.Since(start)

		assert.False(t, stranger.Exists(t, "/mine"), "the znode goes with the session")
		c.Await(t, zk.StateExpired, i)
		c.Await(t, zk.StateHasSession, i+1)
		assert.NotEqual(t, id, c.SessionID())
		t.Logf("expired in %v, the client knew and had another session after %v", took, time.Since(start))
	}

	assert.Equal(t, 10, c.Count(zk.StateExpired))
	assert.Zero(t, stranger.Count(zk.StateExpired))
	assert.True(t, stranger.Exists(t, "/stranger"))
}

func TestGateExpiresSeveralSessions(t *testing.T) {
	s := Start(t)
	g := NewGate(t, s)
	one, other := Connect(t, g.Addr()), Connect(t, g.Addr())
	closed := Connect(t, g.Addr())
	closed.Close()
	assert.Equal(t, []int64{one.SessionID(), other.SessionID(), closed.SessionID()}, g.Sessions())
	require.NoError(t, g.Expire(), "a session that is closed already is no error")
	one.Await(t, zk.StateExpired, 1)
	other.Await(t, zk.StateExpired, 1)
}

// A session that reconnects is still one session, and cutting its connection
// doesn't expire it.
func TestGatePassesReconnections(t *testing.T) {
	s := Start(t)
	g := NewGate(t, s)
	answer, err := zkdev.FourLetter(g.Addr(), "srvr", sureLimit)
	require.NoError(t, err)
	assert.Contains(t, answer, "Mode: standalone")
	assert.Empty(t, g.Sessions(), "a four-letter command is no session")

	c := Connect(t, g.Addr())
	c.CreateEphemeral(t, "/mine")
	g.Reset()
	c.Await(t, zk.StateHasSession, 2)
	assert.True(t, c.Exists(t, "/mine"))
	assert.Equal(t, []int64{c.SessionID()}, g.Sessions())
	require.NoError(t, g.Expire())
	c.Await(t, zk.StateExpired, 1)
}

func TestGateSaysWhenZooKeeperDoesNotAnswer(t *testing.T) {
	s := Start(t)
	g := NewGate(t, s)
	Connect(t, g.Addr())
	s.Kill()
	require.Error(t, g.Expire())
}

// The faults come with the proxy; one is enough to see that they are in the way
// of ZooKeeper.
func TestGateHasFaults(t *testing.T) {
	s := Start(t)
	g := NewGate(t, s)
	c := ConnectFor(t, g.Addr(), time.Second)
	g.Partition(netproxy.Both)
	c.Await(t, zk.StateDisconnected, 1)
	require.NoError(t, g.Heal())
	c.Await(t, zk.StateHasSession, 2)
}
