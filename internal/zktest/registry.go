// Registry: what a test sees of the servers that are registered in ZooKeeper,
// and what it plants there itself. It looks with a session of its own, straight
// at ZooKeeper, past any gate and with none of the code under test.

package zktest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zklook"
)

const (
	lookLimit = 2 * time.Second  // for one look at ZooKeeper, which may be down or paused
	sureLimit = 20 * time.Second // for what must be done, on a machine that is busy with other things
)

// Registry is the children of one root. Its methods report to the test that
// made it, on that test's goroutine.
type Registry struct {
	Root string

	t       testing.TB
	zk      string
	looker  *zklook.Looker
	watches bool   // part of what a report shows
	seen    string // the nodes of the latest look
}

// Node is one child of the root.
type Node = zklook.Node

// NewRegistry looks at the children of root in s until the end of the test. If
// the test fails, its report shows them.
func NewRegistry(t testing.TB, s *zkdev.Server, root string) *Registry {
	r := &Registry{Root: root, t: t, zk: s.Addr(), looker: zklook.New(s.Addr())}
	harness.Scene(t, r.scene)
	t.Cleanup(r.looker.Close)
	return r
}

// ShowWatches has reports show who watches the root, too.
func (r *Registry) ShowWatches() *Registry {
	r.watches = true
	return r
}

// scene is what a report shows.
func (r *Registry) scene() string {
	text := "znodes    " + r.Root
	switch nodes, err := r.Nodes(); {
	case err != nil:
		return text + ": " + err.Error()
	case len(nodes) == 0:
		text += ": none"
	default:
		for _, node := range nodes {
			text += "\n          " + node.String()
		}
	}

	if r.watches {
		text += "\nwatches   " + r.watchers()
	}
	return text
}

// watchers says what ZooKeeper tells of watches: how many there are in all, and
// whose are those on znodes' data. Of the watches on lists of children it tells
// the number only.
func (r *Registry) watchers() string {
	count, err := zkdev.FourLetter(r.zk, "mntr", lookLimit)
	if err != nil {
		return err.Error()
	}

	text := "a number that ZooKeeper does not tell"
	for line := range strings.Lines(count) {
		if n, ok := strings.CutPrefix(line, "zk_watch_count"); ok {
			text = strings.TrimSpace(n) + " in all"
		}
	}

	byPath, err := zkdev.FourLetter(r.zk, "wchp", lookLimit) // a path, and below it the sessions, indented
	if err == nil && strings.TrimSpace(byPath) != "" {
		text += ", of these on data: " + strings.Join(strings.Fields(byPath), " ")
	}
	return text
}

// Nodes returns what is registered at the moment, in the order of names; no
// node if there is no root. It tries for 2 seconds.
func (r *Registry) Nodes() ([]Node, error) {
	nodes, err := zklook.Do(r.looker, lookLimit, func(c *zk.Conn) ([]Node, error) { return zklook.Nodes(c, r.Root) })
	seen := list(nodes)
	if err == nil && seen != r.seen {
		r.seen = seen
		harness.SawAt(r.t, harness.ZooKeeper, "under %s: %s", r.Root, seen)
	}
	return nodes, err
}

// Now is Nodes for a ZooKeeper that is known to serve: it goes on trying, and
// fails the test if that doesn't help.
func (r *Registry) Now() []Node {
	r.t.Helper()
	return r.Wait(sureLimit, "a list of what is registered", func([]Node) bool { return true })
}

// Wait waits until the nodes are as the condition wants them, what in words,
// and returns them.
func (r *Registry) Wait(within time.Duration, what string, condition func([]Node) bool) (nodes []Node) {
	r.t.Helper()
	harness.Eventually(r.t, within, what+" under "+r.Root, func() (bool, string) {
		var err error
		nodes, err = r.Nodes()
		if err != nil {
			return false, err.Error()
		}
		return condition(nodes), list(nodes)
	})
	return nodes
}

// WaitNone waits until nothing is registered.
func (r *Registry) WaitNone(within time.Duration) {
	r.t.Helper()
	r.Wait(within, "no node", func(nodes []Node) bool { return len(nodes) == 0 })
}

// WaitOne waits until exactly one node is registered, of that address and not
// one of the old ones, and returns it.
func (r *Registry) WaitOne(within time.Duration, addr string, old ...Node) Node {
	r.t.Helper()
	what := "one node, of " + addr + ","
	if len(old) > 0 {
		what = fmt.Sprintf("one node, of %s and other than %s,", addr, list(old))
	}
	return r.Wait(within, what, func(nodes []Node) bool {
		return len(nodes) == 1 && nodes[0].Addr() == addr && !slices.Contains(old, nodes[0])
	})[0]
}

// Want fails the test unless exactly these nodes are registered now.
func (r *Registry) Want(want ...Node) {
	r.t.Helper()
	nodes := r.Now()
	harness.Check(r.t, slices.Equal(nodes, want), list(want)+" under "+r.Root, "%s", list(nodes))
}

// Plant creates a node with these data, ephemeral in this registry's own
// session or persistent, and the root if it is missing. A name that ends in "-"
// gets a number from ZooKeeper.
func (r *Registry) Plant(name, data string, ephemeral bool) Node {
	r.t.Helper()
	node, err := zklook.Do(r.looker, sureLimit, func(c *zk.Conn) (Node, error) {
		if err := zklook.MakeRoot(c, r.Root); err != nil {
			return Node{}, err
		}

		var flags int32
		var session int64
		if ephemeral {
			flags, session = zk.FlagEphemeral, c.SessionID()
		}
		if strings.HasSuffix(name, "-") {
			flags |= zk.FlagSequence
		}

		path, err := c.Create(r.Root+"/"+strings.TrimSuffix(name, "-"), []byte(data), flags, zk.WorldACL(zk.PermAll))
		return Node{Name: strings.TrimPrefix(path, r.Root+"/"), Data: data, Session: session}, err
	})
	if err != nil {
		r.t.Fatalf("plant %s under %s: %v", name, r.Root, err)
	}
	harness.DidAt(r.t, harness.ZooKeeper, "planted the znode %s under %s: %s", node.Name, r.Root, node.Data)
	return node
}

func list(nodes []Node) string {
	if len(nodes) == 0 {
		return "no node"
	}
	return fmt.Sprint(nodes)
}
