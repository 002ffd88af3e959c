// The list of servers.

package main

import (
	"context"
	"slices"

	"github.com/go-zookeeper/zk"
)

type Snapshot struct {
	Servers []string
	Stale   bool
}

type Discovery interface {
	Watch(ctx context.Context, publish func(Snapshot))
}

type ZKDiscovery struct {
	session *Session
	root    string
	changed <-chan zk.Event
}

func NewZKDiscovery(session *Session, root string) *ZKDiscovery {
	return &ZKDiscovery{session: session, root: root}
}

func (z *ZKDiscovery) Watch(ctx context.Context, publish func(Snapshot)) {
	defer z.session.Close(context.Background())
	for {
		servers, err := Do(z.session, z.look)
		if err == nil {
			slices.Sort(servers)
			publish(Snapshot{Servers: servers})
		}
		select {
		case <-z.changed:
		case <-z.session.Changed():
		case <-ctx.Done():
			return
		}
	}
}

func (z *ZKDiscovery) look(c *zk.Conn) (servers []string, err error) {
	names, _, changed, err := c.ChildrenW(z.root)
	if err != nil {
		return nil, err
	}
	z.changed = changed
	for _, name := range names {
		data, _, err := c.Get(z.root + "/" + name)
		if err != nil {
			return nil, err
		}
		addr, err := ParseEndpoint(data)
		if err != nil {
			return nil, err
		}
		servers = append(servers, addr)
	}
	return servers, nil
}
