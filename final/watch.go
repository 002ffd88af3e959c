// Watching: the client learns from ZooKeeper which servers there are, and of
// every change. A watch fires once and says only that something changed, so
// each turn lists again, setting the next watch by the same request, and
// fetches the few znodes that it doesn't know yet.

package rpc

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// hiddenPause is the longest pause between two looks at what ZooKeeper doesn't
// let us read. No watch tells when it does.
const hiddenPause = 30 * time.Second

const forever = time.Duration(math.MaxInt64)

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

	mu  sync.Mutex
	err error // what Err returns; guarded by mu

	// What follows belongs to Watch.

	// The names, as last listed, with a watch. The library can't take a watch
	// back. So we list again, which sets another one, only when this one has
	// fired or a look has failed.
	listed listing

	// The addresses behind the listed names, as far as we could read them, and
	// the session in which we did. In one session a name stays the same
	// server's, and is read once.
	addrs        map[string]string // by name, "" for data that is no address
	addrsSession int64

	known map[string]string // the latest addrs that were complete, all that we may read; nil: none yet
	last  *Snapshot         // what was published last; nil: nothing
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
	return &ZKDiscovery{session: session, root: root}
}

// Err returns what the latest attempt to read the set failed with, nil if it
// didn't fail. It is safe for concurrent use.
func (z *ZKDiscovery) Err() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.err
}

func (z *ZKDiscovery) setErr(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.err = err
}

// Watch implements Discovery.
func (z *ZKDiscovery) Watch(ctx context.Context, publish func(Snapshot)) {
	closed := z.closeAfter(ctx)
	defer func() { <-closed }() // Watch doesn't return before the session is closed

	looks := 0 // in a row at what we aren't allowed to read
	for {
		hidden, failed := z.look()
		err := cmp.Or(failed, hidden)
		z.setErr(err)
		hold := z.update(publish, failed != nil)

		sessionChanged := z.session.Changed()
		pause := forever // until the next look, if nothing happens before
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
		if hold > 0 {
			pause = min(pause, hold)
		}

		select {
		case <-z.listed.changed:
			z.listed.changed = nil // a watch fires once
		case <-sessionChanged:
		case <-time.After(pause):
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
	z.addrs, z.addrsSession = current, z.listed.session
	if failed != nil {
		// Part of the servers is no set. The next look lists again, too:
		// answers to what we ask now may keep the library from noticing what
		// changed while there was no connection.
		z.listed.changed = nil
		return hidden, failed
	}

	z.known = current
	return hidden, nil
}

// list reads the names and sets the watch: on the list, or on a root that
// doesn't exist yet.
func (z *ZKDiscovery) list(c *zk.Conn) (listing, error) {
	names, _, changed, err := c.ChildrenW(z.root)
	if errors.Is(err, zk.ErrNoNode) { // no server has ever registered: watch for the root
		var exists bool
		exists, _, changed, err = c.ExistsW(z.root)
		if err == nil && exists { // then what we watch is the root, and not the list
			err = errors.New("the root has just appeared")
		}
	}
	if err != nil {
		return listing{}, err
	}
	return listing{names, c.SessionID(), changed}, nil
}

// fetch returns the address behind each listed name. It reads those that it
// doesn't know yet, all at once. With hidden there is a znode that we aren't
// allowed to read: the set counts as complete without it. With failed there is
// one that could not be read: the set isn't complete.
func (z *ZKDiscovery) fetch(listed listing) (current map[string]string, hidden, failed error) {
	known := z.addrs
	if z.addrsSession != listed.session {
		known = nil // a ZooKeeper that lost its data gives the old names to other servers
	}

	current = make(map[string]string, len(listed.names))
	var unread []string
	for _, name := range listed.names {
		addr, ok := known[name]
		if ok {
			current[name] = addr
		} else {
			unread = append(unread, name)
		}
	}

	addrs := make([]string, len(unread))
	errs := make([]error, len(unread))
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

// address returns the address in the znode of that name, "" if its data is no
// address.
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

// update publishes the known set if it differs from the last. The set is stale
// when the latest look has failed or there is no session.
//
// An empty list just after a reconnect is likelier a ZooKeeper that has lost
// its sessions than the end of all servers. It is believed only if it is still
// empty when our session is as old as its timeout: by then servers that live
// have registered again. Until then hold is how long that still takes, and
// otherwise it is 0 or less.
func (z *ZKDiscovery) update(publish func(Snapshot), failed bool) (hold time.Duration) {
	if z.known == nil {
		return 0
	}

	now := Snapshot{Servers: z.servers(), Stale: failed || z.session.Conn() == nil}
	if len(now.Servers) == 0 && z.last != nil && len(z.last.Servers) > 0 {
		hold = z.session.Timeout() - z.session.Age()
		if hold > 0 || now.Stale {
			now = Snapshot{Servers: z.last.Servers, Stale: true}
		}
	}

	isNew := z.last == nil || now.Stale != z.last.Stale || !slices.Equal(now.Servers, z.last.Servers)
	if isNew {
		z.last = &now
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
