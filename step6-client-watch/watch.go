// Watching: the client learns from ZooKeeper which servers there are, and of
// every change. A watch fires once and says only that something changed, so
// each turn lists again, setting the next watch by the same request, and
// fetches the few znodes that it doesn't know yet.

package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// hiddenPause is the longest between two looks at what ZooKeeper doesn't let us
// read. No watch tells when it does.
const hiddenPause = 30 * time.Second

// A Snapshot is the set of servers at one moment.
type Snapshot struct {
	Servers []string // addresses, "host:port": all of them, sorted, each once
	Stale   bool     // the source can't be read: this is the last set known
}

// Discovery finds servers.
type Discovery interface {
	// Watch calls publish with a Snapshot once the set of servers is known and
	// whenever it has changed, until ctx ends, and then returns. An error of
	// the source is no change: the last set stays, marked stale.
	Watch(ctx context.Context, publish func(Snapshot))
}

// ZKDiscovery finds the servers registered in ZooKeeper. Watch may be called
// once.
type ZKDiscovery struct {
	session *Session
	root    string
	err     atomic.Pointer[error] // what Err returns

	// What follows belongs to Watch.

	// The names, as last listed. The watch that came with them is the only one
	// armed, for the library can't take one back.
	listed listing

	// What is behind the names that were listed last, as far as we could read
	// it. In one session a name stays the same server's, and is read once.
	read   map[string]string // address by name, "" for data that is none
	reader int64             // the session in which that was read

	// The latest set of which all could be read.
	known map[string]string // address by name; nil: none yet

	last      Snapshot // what was published last
	published bool     // there was such a thing
}

// A listing is what ZooKeeper says of the names below the root.
type listing struct {
	names   []string
	session int64           // in which it was said
	changed <-chan zk.Event // delivers when the list is out of date; nil: list again
}

// NewZKDiscovery returns a Discovery of what is registered under root. It
// takes over the session.
func NewZKDiscovery(session *Session, root string) *ZKDiscovery {
	z := &ZKDiscovery{session: session, root: root}
	z.err.Store(new(error))
	return z
}

// Err returns what the latest attempt to read the set failed with, nil if it
// didn't fail. It is safe for concurrent use.
func (z *ZKDiscovery) Err() error { return *z.err.Load() }

// Watch implements Discovery.
func (z *ZKDiscovery) Watch(ctx context.Context, publish func(Snapshot)) {
	closed := z.closeAfter(ctx)
	defer func() { <-closed }()

	looks := 0 // in a row at what we aren't allowed to read
	for {
		hidden, failed := z.look()
		err := cmp.Or(failed, hidden)
		z.err.Store(&err)
		hold := z.publish(publish, failed != nil)

		sessionChanged := z.session.Changed()
		var pause time.Duration // until the next look, if nothing happens before; 0: forever
		switch {
		case errors.Is(err, zk.ErrNoAuth):
			pause = retryPause(looks, hiddenPause)
			looks++
		case errors.Is(err, ErrNoSession):
			pause = retryPause(0, time.Second)
		case err != nil:
			pause = retryPause(0, time.Second)
			sessionChanged = nil // what fails is tried again after the pause, not before
		default:
			looks = 0
		}
		if hold > 0 && (hold < pause || pause == 0) {
			pause = hold
		}

		var retry <-chan time.Time
		if pause > 0 {
			retry = time.After(pause)
		}
		select {
		case <-z.listed.changed:
			z.listed.changed = nil // a watch fires once
		case <-sessionChanged:
		case <-retry:
		case <-ctx.Done():
			return
		}
	}
}

// closeAfter ends the session when ctx ends, and with it a request that Watch
// may be waiting for. Then it closes the channel that it has returned.
func (z *ZKDiscovery) closeAfter(ctx context.Context) <-chan struct{} {
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		bounded, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = z.session.Close(bounded)
	})
	return closed
}

// look brings what we know up to date: it lists, unless the last list still
// holds, and reads what it doesn't know yet. The errors are fetch's; without a
// list it has failed.
func (z *ZKDiscovery) look() (hidden, failed error) {
	if z.listed.changed == nil {
		listed, err := Do(z.session, z.list)
		if err != nil {
			return nil, err
		}
		z.listed = listed
	}

	current, hidden, failed := z.fetch(z.listed)
	z.read, z.reader = current, z.listed.session
	if failed != nil {
		// Part of the servers is no set. It is listed again, too: answers to
		// what we ask now may keep the library from noticing what changed
		// while there was no connection.
		z.listed.changed = nil
		return hidden, failed
	}

	z.known = current
	return hidden, nil
}

// list reads the names and sets the watch.
func (z *ZKDiscovery) list(c *zk.Conn) (listing, error) {
	names, _, changed, err := c.ChildrenW(z.root)
	if errors.Is(err, zk.ErrNoNode) { // no server has ever registered: watch for the root
		var exists bool
		exists, _, changed, err = c.ExistsW(z.root)
		if err == nil && exists {
			err = errors.New("the root has just appeared")
		}
	}
	if err != nil {
		return listing{}, err // no watch: list again
	}
	return listing{names, c.SessionID(), changed}, nil
}

// fetch returns the address behind each listed name. It reads those that it
// doesn't know yet, all at once. The error hidden says that we aren't allowed
// to read a znode: the set is complete without it. With the error failed the
// set isn't complete: a znode could not be read.
func (z *ZKDiscovery) fetch(listed listing) (current map[string]string, hidden, failed error) {
	read := z.read
	if z.reader != listed.session {
		read = nil // a ZooKeeper that lost its data gives the old names to other servers
	}

	current = make(map[string]string, len(listed.names))
	var unread []string
	for _, name := range listed.names {
		if addr, ok := read[name]; ok {
			current[name] = addr
		} else {
			unread = append(unread, name)
		}
	}

	addrs, errs := make([]string, len(unread)), make([]error, len(unread))
	var wait sync.WaitGroup
	for i, name := range unread {
		wait.Go(func() { addrs[i], errs[i] = z.address(name) })
	}
	wait.Wait()

	for i, err := range errs {
		switch {
		case errors.Is(err, zk.ErrNoNode): // it left between list and get
		case errors.Is(err, zk.ErrNoAuth):
			hidden = err // one of each kind is enough
		case err != nil:
			failed = err
		default:
			current[unread[i]] = addrs[i]
		}
	}
	return current, hidden, failed
}

// address returns the address in the znode of that name, "" if its data is
// none.
func (z *ZKDiscovery) address(name string) (string, error) {
	path := z.root + "/" + name
	data, err := Do(z.session, func(c *zk.Conn) ([]byte, error) {
		data, _, err := c.Get(path)
		return data, err
	})
	if err != nil {
		return "", err
	}

	addr, err := ParseEndpoint(data)
	if err != nil {
		slog.Warn("znode skipped", "znode", path, "err", err)
	}
	return addr, nil
}

// publish publishes the known set if it differs from the last. The set is stale
// when the latest look has failed or there is no session. An empty list just
// after a reconnect is likelier a ZooKeeper that has lost its sessions than the
// end of all servers: it is believed only if it lasts for a session timeout.
// Until then publish returns how long.
func (z *ZKDiscovery) publish(publish func(Snapshot), failed bool) (hold time.Duration) {
	if z.known == nil {
		return 0
	}

	now := Snapshot{Servers: z.servers(), Stale: failed || z.session.Conn() == nil}
	if len(now.Servers) == 0 && len(z.last.Servers) > 0 {
		hold = z.session.Timeout() - z.session.Age()
		if hold > 0 || now.Stale {
			now = Snapshot{Servers: z.last.Servers, Stale: true}
		}
	}

	isNew := now.Stale != z.last.Stale || !slices.Equal(now.Servers, z.last.Servers)
	if isNew || !z.published {
		z.last, z.published = now, true
		publish(now)
	}
	return hold
}

// servers returns the addresses of the known set, sorted, each once.
func (z *ZKDiscovery) servers() []string {
	addrs := slices.Sorted(maps.Values(z.known))
	addrs = slices.Compact(addrs) // one server may have two znodes for a while
	return slices.DeleteFunc(addrs, func(addr string) bool { return addr == "" })
}
