// What a test does under a root behind the servers' backs.

package zktest

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zklook"
)

// MakeRoot creates the root, if it is missing, so that a server's first request
// to register is carried out.
func (r *Registry) MakeRoot() {
	r.t.Helper()
	_, err := zklook.Do(r.looker, sureLimit, func(c *zk.Conn) (any, error) { return nil, zklook.MakeRoot(c, r.Root) })
	if err != nil {
		r.t.Fatalf("make %s: %v", r.Root, err)
	}
	harness.DidAt(r.t, harness.ZooKeeper, "made the root %s", r.Root)
}

// Forbid has ZooKeeper refuse every create below the root, which must be there.
func (r *Registry) Forbid() {
	r.t.Helper()
	r.allow(r.Root, zk.PermAll&^zk.PermCreate)
	harness.Did(r.t, "took away everybody's right to create znodes below %s", r.Root)
}

// Permit ends a Forbid. Nobody is told.
func (r *Registry) Permit() {
	r.t.Helper()
	r.allow(r.Root, zk.PermAll)
	harness.Did(r.t, "gave everybody the right to create znodes below %s", r.Root)
}

// allow sets what everybody may do with a znode.
func (r *Registry) allow(path string, permissions int32) {
	r.t.Helper()
	_, err := zklook.Do(r.looker, sureLimit, func(c *zk.Conn) (any, error) {
		return c.SetACL(path, zk.WorldACL(permissions), -1)
	})
	if err != nil {
		r.t.Fatalf("change what is allowed with %s: %v", path, err)
	}
}

// Remove deletes these nodes, whoever owns them. Those that are gone already
// don't matter.
func (r *Registry) Remove(nodes ...Node) {
	r.t.Helper()
	for _, node := range nodes {
		_, err := zklook.Do(r.looker, sureLimit, func(c *zk.Conn) (any, error) {
			if err := c.Delete(r.Root+"/"+node.Name, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
				return nil, err
			}
			return nil, nil
		})
		if err != nil {
			r.t.Fatalf("remove %s under %s: %v", node.Name, r.Root, err)
		}
		harness.DidAt(r.t, harness.ZooKeeper, "deleted the znode %s under %s: %s", node.Name, r.Root, node.Data)
	}
}

// RemoveRoot deletes the root with all that is below it. A server may be as
// fast to put back what it misses: then it tries again.
func (r *Registry) RemoveRoot(within time.Duration) {
	r.t.Helper()
	harness.Eventually(r.t, within, "no "+r.Root, func() (bool, string) {
		_, err := zklook.Do(r.looker, sureLimit, func(c *zk.Conn) (any, error) {
			names, _, err := c.Children(r.Root)
			for _, name := range names {
				if err == nil {
					err = c.Delete(r.Root+"/"+name, -1)
				}
			}
			if err == nil {
				err = c.Delete(r.Root, -1)
			}
			return nil, err
		})
		return err == nil, fmt.Sprint(err)
	})
	harness.DidAt(r.t, harness.ZooKeeper, "deleted the root %s, with all that was below it", r.Root)
}

// Hide makes a node one whose data nobody may read, and Show ends that.
func (r *Registry) Hide(node Node) {
	r.t.Helper()
	r.allow(r.Root+"/"+node.Name, zk.PermAdmin)
	harness.DidAt(r.t, harness.ZooKeeper, "forbade everyone to read the znode %s under %s", node.Name, r.Root)
}

// Show lets everyone read a node's data again.
func (r *Registry) Show(node Node) {
	r.t.Helper()
	r.allow(r.Root+"/"+node.Name, zk.PermAll)
	harness.DidAt(r.t, harness.ZooKeeper, "let everyone read the znode %s under %s again", node.Name, r.Root)
}
