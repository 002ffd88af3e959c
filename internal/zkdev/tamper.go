// What a test does under a root behind the servers' backs.
package zkdev

import (
	"errors"

	"github.com/go-zookeeper/zk"
)

// MakeRoot creates the root, if it is missing, so that a server's first request to register is carried out.
func (r *Registry) MakeRoot() {
	r.t.Helper()
	if _, err := do(r, sureLimit, func(c *zk.Conn) (any, error) { return nil, r.makeRoot(c) }); err != nil {
		r.t.Fatalf("make %s: %v", r.Root, err)
	}
}

// Remove deletes these nodes, whoever owns them. Those that are gone already don't matter.
func (r *Registry) Remove(nodes ...Node) {
	r.t.Helper()
	for _, node := range nodes {
		_, err := do(r, sureLimit, func(c *zk.Conn) (any, error) {
			if err := c.Delete(r.Root+"/"+node.Name, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
				return nil, err
			}
			return nil, nil
		})
		if err != nil {
			r.t.Fatalf("remove %s under %s: %v", node.Name, r.Root, err)
		}
	}
}
