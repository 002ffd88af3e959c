// Tests of what is done at a client's word.
package netproxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnRequest(t *testing.T) {
	p := StartT(t, echo(t))
	conn := dial(t, p.Addr())
	p.OnRequest("magic", p.DropReplies)
	talk(t, conn)
	send(t, conn, "a magic word")
	lost := func() bool { return p.Dropped() == int64(len("a magic word")) }
	require.Eventually(t, lost, soon, time.Millisecond, "it was lost whole")
	require.NoError(t, p.Heal())

	conn = dial(t, p.Addr())
	send(t, conn, "magic")
	receive(t, conn, "magic") // once is enough

	p.OnRequest("magic", func() { p.Partition(ToServer) })
	send(t, conn, "more magic")
	receiveNothing(t, conn)
	require.NoError(t, p.Heal())
	receive(t, conn, "more magic")
	p.mutex.Lock()
	defer p.mutex.Unlock()
	assert.Empty(t, p.triggers)
}
