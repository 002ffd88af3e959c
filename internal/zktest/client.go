// Sessions that a test opens itself.

package zktest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/zklook"
)

// Client is a session of the library that the project uses, with its events
// gathered.
type Client struct {
	*zk.Conn
	mutex  sync.Mutex
	states []zk.State
}

// Connect opens a session that stands all that tests do to a ZooKeeper, even
// slowly, and returns when it is there. It ends with the test.
func Connect(t testing.TB, addr string) *Client {
	t.Helper()
	return ConnectFor(t, addr, 10*time.Second)
}

// ConnectFor is Connect with a session timeout.
func ConnectFor(t testing.TB, addr string, timeout time.Duration) *Client {
	t.Helper()
	c := &Client{}
	// The library sleeps for a second whenever it has tried all its servers
	// once. So it gets more than it will try.
	servers := slices.Repeat([]string{addr}, 100)
	conn, _, err := zk.Connect(servers, timeout, zk.WithLogInfo(false), zk.WithLogger(zklook.Silent{}),
		zk.WithEventCallback(func(event zk.Event) {
			c.mutex.Lock()
			defer c.mutex.Unlock()
			if event.Type == zk.EventSession {
				c.states = append(c.states, event.State)
			}
		}))

	require.NoError(t, err)
	c.Conn = conn
	t.Cleanup(conn.Close)
	c.Await(t, zk.StateHasSession, 1)
	return c
}

// Count returns how often the client has been in the state.
func (c *Client) Count(state zk.State) (n int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, s := range c.states {
		if s == state {
			n++
		}
	}
	return n
}

// Await waits until the client has been in the state n times.
func (c *Client) Await(t testing.TB, state zk.State, n int) {
	t.Helper()
	enough := func() bool { return c.Count(state) >= n }
	require.Eventually(t, enough, sureLimit, time.Millisecond, "%v for the time number %d", state, n)
}

// Exists tells whether there is such a znode, as sureLimit as ZooKeeper does.
func (c *Client) Exists(t testing.TB, path string) bool {
	t.Helper()
	var there bool
	require.Eventually(t, func() bool {
		var err error
		there, _, err = c.Conn.Exists(path)
		return err == nil
	}, sureLimit, 10*time.Millisecond)
	return there
}

// CreateEphemeral creates a znode that lives as long as the session.
func (c *Client) CreateEphemeral(t testing.TB, path string) {
	t.Helper()
	_, err := c.Create(path, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
}
