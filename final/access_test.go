// Tests of access: what a server with credentials registers is safe from
// strangers, whatever happens to ZooKeeper, and who lacks the credentials is
// told so.

//go:build unix

package rpc

import (
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

const (
	ours   = "alice:open sesame"
	theirs = "mallory:open sesame"
)

// A stranger is a connection to ZooKeeper that has nothing to do with the code
// under test.
type stranger struct {
	*zk.Conn
	t *testing.T
}

// newStranger connects with these credentials, or with none.
func newStranger(t *testing.T, addr string, auth ...string) stranger {
	t.Helper()
	conn, _, err := zk.Connect([]string{addr, addr}, soon, zk.WithLogger(log.New(io.Discard, "", 0)))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	for _, auth := range auth {
		require.NoError(t, conn.AddAuth("digest", []byte(auth)))
	}
	return stranger{conn, t}
}

func (s stranger) acl(path string) []zk.ACL {
	s.t.Helper()
	acl, _, err := s.GetACL(path)
	require.NoError(s.t, err)
	return acl
}

// try tries to do that, and returns what is refused.
func (s stranger) setData(path string) error {
	_, err := s.Set(path, []byte(`{"host":"evil","port":1}`), -1)
	return err
}
func (s stranger) setACL(path string) error {
	_, err := s.SetACL(path, zk.WorldACL(zk.PermAll), -1)
	return err
}
func (s stranger) remove(path string) error { return s.Delete(path, -1) }
func (s stranger) createIn(path string) error {
	_, err := s.Create(path+"/rpc", []byte(`{"host":"evil","port":1}`), zk.FlagEphemeral|zk.FlagSequence,
		zk.WorldACL(zk.PermAll))
	return err
}

// An access is a root in a ZooKeeper, which doesn't exist yet.
type access struct {
	*zktest.Registry
	t    *testing.T
	zk   *zkdev.Server
	root stranger // has the same credentials as the servers
}

var accessRoots atomic.Int64

func newAccess(t *testing.T, zookeeper *zkdev.Server) access {
	registry := zktest.NewRegistry(t, zookeeper, fmt.Sprintf("/access-%d", accessRoots.Add(1)))
	return access{registry, t, zookeeper, newStranger(t, zookeeper.Addr(), ours)}
}

// server starts a server with these credentials, "" for none; the options come
// on top.
func (a access) server(auth string, o harness.Options) *harness.Server {
	a.t.Helper()
	if o.ZK == "" {
		o.ZK = a.zk.Addr()
	}
	if o.Session == 0 {
		o.Session = soon // it must last, on a busy machine
	}
	o.Root = a.Root
	if auth != "" {
		o.Env = append(o.Env, "ZK_AUTH="+auth)
	}
	return theServer.Serve(a.t, o)
}

// registered waits until the server is, and returns its node's path.
func (a access) registered(s *harness.Server) (path string) {
	a.t.Helper()
	a.Wait(soon, "a node of "+s.Addr, func(nodes []zktest.Node) bool {
		for _, node := range nodes {
			if node.Addr() == s.Addr {
				path = a.Root + "/" + node.Name
			}
		}
		return path != ""
	})
	return path
}

// wantClosed expects that only who has our credentials can change the root and
// the node, and that everyone can read them.
func (a access) wantClosed(node string) {
	a.t.Helper()
	closed := append(zk.DigestACL(zk.PermAll, "alice", "open sesame"), zk.WorldACL(zk.PermRead)...)
	assert.Equal(a.t, closed, a.root.acl(a.Root), "the root's ACL")
	assert.Equal(a.t, closed, a.root.acl(node), "the node's ACL")
}

// waitLog waits until the server has said that.
func waitLog(t *testing.T, s *harness.Server, text string) {
	t.Helper()
	harness.Eventually(t, soon, fmt.Sprintf("%q in the log", text), func() (bool, string) {
		return strings.Contains(s.Stderr(), text), s.Stderr()
	})
}

const notAllowed = "not allowed, the ACL asks for credentials that we don't have"

func TestAccess(t *testing.T) {
	zookeeper := zktest.Start(t)

	t.Run("a stranger can look, and nothing else", func(t *testing.T) {
		a := newAccess(t, zookeeper)
		s := a.server(ours, harness.Options{})
		node := a.registered(s)
		a.wantClosed(node)
		before, err := a.Nodes()
		require.NoError(t, err)

		for _, auth := range [][]string{nil, {theirs}, {"alice:wrong"}, {"alice:"}, {"bob:wrong", theirs}} {
			them := newStranger(t, zookeeper.Addr(), auth...)
			for what, err := range map[string]error{
				"delete a registration":              them.remove(node),
				"overwrite a registration":           them.setData(node),
				"open a registration":                them.setACL(node),
				"register a false server":            them.createIn(a.Root),
				"put a znode beneath a registration": them.createIn(node),
				"delete the root":                    them.remove(a.Root),
				"overwrite the root":                 them.setData(a.Root),
				"open the root":                      them.setACL(a.Root),
			} {
				assert.Error(t, err, "%s with %v", what, auth)
				if what != "delete the root" && what != "put a znode beneath a registration" { // these fail anyhow
					assert.ErrorIs(t, err, zk.ErrNoAuth, "%s with %v", what, auth)
				}
			}

			data, _, err := them.Get(node)
			assert.NoError(t, err)
			assert.Contains(t, string(data), "127.0.0.1")
		}

		a.Want(before...)
		assert.NotContains(t, s.Stderr(), "strangers", "there is nothing to warn of")
		client := theClient.Start(t, harness.ClientOptions{
			ZK: zookeeper.Addr(), Root: a.Root, Session: 6 * time.Second, Rounds: 3,
		})
		assert.Zero(t, client.WaitSummary().Failed, "calls of a client without credentials")

		// Who has the credentials can do it all.
		assert.NoError(t, a.root.createIn(a.Root))
		assert.NoError(t, a.root.setData(node))
		err = a.root.remove(node)
		if !errors.Is(err, zk.ErrNoNode) { // the server has put right what was overwritten: with a new znode
			assert.NoError(t, err)
		}
	})

	// While no server is registered the root is empty, and who may delete it
	// could put an open one in its place.
	t.Run("an empty root can't be replaced, if the server made its parent, too", func(t *testing.T) {
		a := newAccess(t, zookeeper)
		parent := a.Root
		a.Root += "/servers"
		s := a.server(ours, harness.Options{})
		a.wantClosed(a.registered(s))
		s.Signal(syscall.SIGTERM)
		s.Wait(soon)
		a.Want()
		them := newStranger(t, zookeeper.Addr())
		assert.ErrorIs(t, them.remove(a.Root), zk.ErrNoAuth)
		assert.ErrorIs(t, them.setACL(parent), zk.ErrNoAuth)
		assert.NoError(t, them.createIn(parent), "a root of others")
	})

	t.Run("an open root: it registers, and warns once; what can't be overwritten can be deleted", func(t *testing.T) {
		a := newAccess(t, zookeeper)
		free := a.server("", harness.Options{})
		freeNode := a.registered(free)
		s := a.server(ours, harness.Options{Session: 4 * time.Second})
		node := a.registered(s)
		waitLog(t, s, a.Root+" is open: strangers can delete registrations and register false servers")
		them := newStranger(t, zookeeper.Addr(), theirs)
		assert.ErrorIs(t, them.setData(node), zk.ErrNoAuth)
		assert.ErrorIs(t, them.setACL(node), zk.ErrNoAuth)
		assert.NoError(t, them.setData(freeNode))

		// Registered again, it doesn't say so again.
		s.Freeze(s.PID)
		a.Wait(soon, "the end of the session", func(nodes []zktest.Node) bool { return len(nodes) == 1 })
		s.SignalEach(syscall.SIGCONT, s.PID)
		again := a.registered(s)
		assert.Equal(t, 1, strings.Count(s.Stderr(), "strangers can"), s.Stderr())

		// Closed as the warning says, it keeps strangers out.
		assert.Contains(t, s.Stderr(),
			"addauth digest alice:PASSWORD, then setAcl "+a.Root+" auth::cdrwa,world:anyone:r;")
		_, err := a.root.SetACL(a.Root, append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...), -1)
		require.NoError(t, err)
		a.wantClosed(again)
		assert.ErrorIs(t, them.remove(again), zk.ErrNoAuth)
		assert.ErrorIs(t, them.createIn(a.Root), zk.ErrNoAuth)
		s.Signal(syscall.SIGTERM)
		s.Wait(soon)
	})

	t.Run("with the same credentials servers share a root; others may not, serve on, "+
		"and try until they may", func(t *testing.T) {
		a := newAccess(t, zookeeper)
		first, second := a.server(ours, harness.Options{}), a.server(ours, harness.Options{})
		a.registered(first)
		a.registered(second)

		var outside []*harness.Server
		for _, auth := range []string{"", theirs, "alice:wrong"} {
			outside = append(outside, a.server(auth, harness.Options{}))
		}
		for _, s := range outside {
			waitLog(t, s, notAllowed)
			waitLog(t, s, "register under "+a.Root)
			assert.Equal(t, "pong 1", s.Call(t, "ping", 1).String())
			s.WantIdle(t)
			assert.Equal(t, 1, strings.Count(s.Stderr(), "not registered"), "one word is enough\n%s", s.Stderr())
		}
		nodes, err := a.Nodes()
		require.NoError(t, err)
		assert.Len(t, nodes, 2)
		require.NoError(t, a.root.setACL(a.Root)) // open to everyone
		for _, s := range outside {
			a.registered(s)
			s.Signal(syscall.SIGTERM)
			assert.Zero(t, s.Wait(soon))
		}
	})
}

func TestAccessWhateverHappensToZooKeeper(t *testing.T) {
	zookeeper := zktest.Start(t)
	a := newAccess(t, zookeeper)
	gate := zktest.NewGate(t, zookeeper)
	zookeeper.Kill()
	s := a.server(ours, harness.Options{ZK: gate.Addr(), Session: 4 * time.Second})

	var node zktest.Node
	for _, fault := range []func() error{zookeeper.Restart, gate.Expire, zookeeper.Wipe, gate.Expire} {
		require.NoError(t, fault())
		node = a.WaitOne(2*soon, s.Addr, node)
		a.root = newStranger(t, zookeeper.Addr(), ours) // one from before may not come back after a wipe
		a.wantClosed(a.Root + "/" + node.Name)
	}

	assert.NotContains(t, s.Stderr(), "strangers")
	assert.NotContains(t, s.Stderr(), "sesame")
}
