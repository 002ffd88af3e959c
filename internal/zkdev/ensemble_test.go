// Tests of the ensemble: it serves as one, loses its leader and goes on with
// the sessions it had, and takes back who was lost.
package zkdev_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/zktest"
)

func TestEnsemble(t *testing.T) {
	begin := time.Now()
	e := zktest.StartEnsemble(t)
	t.Logf("serving after %v", time.Since(begin))
	require.Len(t, strings.Split(e.Addrs(), ","), 3)
	leader := e.Leader(t, soon)
	others := e.Others(leader)
	require.Len(t, others, 2)

	c := zktest.Connect(t, others[0].Addr())
	c.CreateEphemeral(t, "/mine")
	id := c.SessionID()
	leader.Kill()
	begin = time.Now()
	next := e.Leader(t, soon)
	t.Logf("another leader after %v", time.Since(begin))
	assert.NotEqual(t, leader.Addr(), next.Addr())
	c.Await(t, zk.StateHasSession, 2)
	assert.Equal(t, id, c.SessionID())
	assert.True(t, c.Exists(t, "/mine"))

	require.NoError(t, leader.Wipe(), "it comes back with nothing, follows and learns")
	assert.Equal(t, next, e.Leader(t, soon))
	assert.True(t, zktest.Connect(t, leader.Addr()).Exists(t, "/mine"))
}

// Delayed links have a change be known to the member that it was made through,
// and not yet to another one.
func TestLinkedEnsemble(t *testing.T) {
	e := zktest.StartLinkedEnsemble(t)
	followers := e.Others(e.Leader(t, soon))
	one, other := zktest.Connect(t, followers[0].Addr()), zktest.Connect(t, followers[1].Addr())

	const delay = 200 * time.Millisecond
	for _, l := range e.Links {
		l.Delay(delay)
	}

	begin := time.Now()
	one.CreateEphemeral(t, "/mine")
	assert.Greater(t, time.Since(begin), 4*delay, "to the leader, to the followers, and both ways again")

	begin = time.Now()
	_, err := other.Sync("/mine")
	require.NoError(t, err)
	assert.Greater(t, time.Since(begin), 2*delay, "to the leader and back")
	assert.True(t, other.Exists(t, "/mine"))

	for _, l := range e.Links {
		l.Delay(0) // the end takes less
	}
}
