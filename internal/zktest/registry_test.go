// Tests of what a test plants in ZooKeeper and removes again, and of what it
// leaves behind.

package zktest

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRegistryRemove(t *testing.T) {
	s := Start(t)
	r := NewRegistry(t, s, "/deep/root")
	kept := r.Plant("rpc-", `{"host":"127.0.0.1","port":1}`, true)
	persistent := r.Plant("some", "data", false)
	ephemeral := r.Plant("more", "data", true)

	nodes, err := r.Nodes()
	require.NoError(t, err)
	assert.Equal(t, []Node{ephemeral, kept, persistent}, nodes)

	stranger := NewRegistry(t, s, r.Root)
	stranger.Remove(persistent, ephemeral)
	r.Want(kept)
	stranger.Remove(persistent) // again: nothing to do
	r.Want(kept)
}

// Something that accepts and says nothing, as a ZooKeeper does that is only
// starting. The library would wait for minutes.
func TestRegistryLeavesNoConnectionBehind(t *testing.T) {
	mute, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close()

	r := &Registry{Root: "/root", t: t, zk: mute.Addr().String()}
	require.EqualError(t, r.connect(100*time.Millisecond), "no session with ZooKeeper")

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
