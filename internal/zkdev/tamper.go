// What a test does under a root behind the servers' backs.
package zkdev

import "github.com/go-zookeeper/zk"

// MakeRoot creates the root, if it is missing, so that a server's first request to register is carried out.
func (r *Registry) MakeRoot() {
	r.t.Helper()
	if _, err := do(r, func(c *zk.Conn) (any, error) { return nil, r.makeRoot(c) }); err != nil {
		r.t.Fatalf("make %s: %v", r.Root, err)
	}
}

// Remove takes a node away, whoever made it. One that is gone already fails the test.
func (r *Registry) Remove(node Node) {
	r.t.Helper()
	if _, err := do(r, func(c *zk.Conn) (any, error) { return nil, c.Delete(r.Root+"/"+node.Name, -1) }); err != nil {
		r.t.Fatalf("remove %s under %s: %v", node.Name, r.Root, err)
	}
}
