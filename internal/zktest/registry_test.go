// Tests of what a test plants in ZooKeeper and removes again, and of what it
// leaves behind.

package zktest

import (
	"testing"

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
