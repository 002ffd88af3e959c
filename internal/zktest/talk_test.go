// Test of what is understood of ZooKeeper's protocol.

package zktest

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/netproxy"
)

func TestTalkIsUnderstood(t *testing.T) {
	s := Start(t)
	var mutex sync.Mutex
	var said []string
	proxy := netproxy.StartT(t, s.Addr())
	proxy.TapBoth(func() (io.Writer, io.Writer) {
		talk := &talk{asked: map[int32]string{}, note: func(way int, text string) {
			mutex.Lock()
			defer mutex.Unlock()
			said = append(said, []string{"> ", "< "}[way]+text)
		}}
		return ear{talk, fromProgram}, ear{talk, fromZooKeeper}
	})
	heard := func() string {
		mutex.Lock()
		defer mutex.Unlock()
		return strings.Join(said, "\n")
	}

	c := Connect(t, proxy.Addr())
	_, _, _, err := c.ChildrenW("/")
	require.NoError(t, err)
	c.CreateEphemeral(t, "/mine")
	_, _, err = c.Get("/none")
	require.Error(t, err)
	require.Eventually(t, func() bool { return strings.Contains(heard(), "< watch") }, sureLimit, time.Millisecond)
	proxy.Reset()
	require.Eventually(t, func() bool { return strings.Contains(heard(), "> go on with") }, sureLimit, time.Millisecond)

	text := heard()
	for _, want := range []string{
		"> a session\n< session 0x", "> list /\n< list /: done\n", "> create /mine\n", "< create /mine: made /mine\n",
		"< watch: / has other children", "> get /none\n< get /none: no such znode",
	} {
		assert.Contains(t, text, want)
	}
}
