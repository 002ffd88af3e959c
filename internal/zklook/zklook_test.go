// Tests of the session; what is seen through it is tested in zktest, with a
// real ZooKeeper.

package zklook

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Something that accepts and says nothing, as a ZooKeeper does that is only
// starting. The library would wait for minutes.
func TestLeavesNoConnectionBehind(t *testing.T) {
	mute, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close()

	l := New(mute.Addr().String())
	require.EqualError(t, l.connect(100*time.Millisecond), "no session with ZooKeeper")

	conn, err := mute.Accept()
	require.NoError(t, err)
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for err == nil {
		_, err = conn.Read(make([]byte, 1000))
	}

	var timeout net.Error
	assert.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the end of the connection, not %v", err)
}
