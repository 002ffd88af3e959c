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
	Stale   bool     // the source can't be reached: this is the last set known
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
	read    map[string]string // address by znode name, "" for data that is none
	reader  int64             // the session in which that was read
	known   map[string]string // the same when everything listed had been read; nil: never yet
	err     atomic.Pointer[error]

	published bool
	last      Snapshot // what was published last
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
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() { // at once: it ends a request that we may be waiting for
		defer close(closed)
		bounded, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = z.session.Close(bounded)
	})
	defer func() { <-closed }()
	var list listing // its watch is the only one armed: the library can't take one back
	hidden := 0      // looks in a row at what we aren't allowed to read
	for {
		var err error
		if list.changed == nil {
			list, err = Do(z.session, z.list)
		}
		if err == nil {
			err = z.fetch(&list)
		}
		z.err.Store(&err)
		hold := z.publish(publish)

		var retry <-chan time.Time
		news := z.session.Changed()
		switch {
		case errors.Is(err, zk.ErrNoAuth):
			retry = time.After(retryPause(hidden, hiddenPause))
			hidden++
		case err != nil:
			retry = time.After(retryPause(0, time.Second))
			if !errors.Is(err, ErrNoSession) {
				news = nil // what fails is tried again after the pause, not before
			}
		default:
			hidden = 0
			if hold > 0 {
				retry = time.After(hold)
			}
		}

		select {
		case <-list.changed:
			list.changed = nil
		case <-news:
		case <-retry:
		case <-ctx.Done():
			return
		}
	}
}

type listing struct {
	names   []string
	session int64
	changed <-chan zk.Event // delivers when the list is out of date
}

// list reads the names and sets the watch.
func (z *ZKDiscovery) list(c *zk.Conn) (listing, error) {
	names, _, changed, err := c.ChildrenW(z.root)
	if errors.Is(err, zk.ErrNoNode) { // no server has ever registered: watch for the root
		var exists bool
		if exists, _, changed, err = c.ExistsW(z.root); exists && err == nil {
			err = errors.New("the root has just appeared")
		}
	}
	if err != nil {
		return listing{}, err // no watch: list again
	}
	return listing{names, c.SessionID(), changed}, nil
}

// fetch reads what it doesn't know yet, all at once, and forgets what is gone.
func (z *ZKDiscovery) fetch(list *listing) error {
	if z.reader != list.session { // a ZooKeeper that lost its data gives the old names to other servers
		z.read, z.reader = nil, list.session
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var errs error
	partial := false
	current := make(map[string]string, len(list.names))
	mu.Lock() // until all have begun
	for _, name := range list.names {
		if addr, ok := z.read[name]; ok {
			current[name] = addr
			continue
		}
		wait.Go(func() {
			data, err := Do(z.session, func(c *zk.Conn) ([]byte, error) {
				data, _, err := c.Get(z.root + "/" + name)
				return data, err
			})
			mu.Lock()
			defer mu.Unlock()
			switch addr, bad := ParseEndpoint(data); {
			case errors.Is(err, zk.ErrNoNode): // it left between list and get
			case errors.Is(err, zk.ErrNoAuth): // hidden from us
				errs = cmp.Or(errs, err)
			case err != nil:
				errs, partial = err, true // any one will do; this name is tried again
			default:
				if bad != nil {
					slog.Warn("znode skipped", "znode", z.root+"/"+name, "err", bad)
				}
				current[name] = addr
			}
		})
	}
	mu.Unlock()
	wait.Wait()
	if z.read = current; partial {
		// Part of the servers is no set. It is listed again, too: answers to
		// what we ask now may keep the library from noticing what changed
		// while there was no connection.
		list.changed = nil
	} else { // one that is hidden from us holds up nobody
		z.known = current
	}
	return errs
}

// publish publishes the known set if it differs from the last. An empty list
// just after a reconnect is likelier a ZooKeeper that has lost its sessions
// than the end of all servers: it is believed only if it lasts for a session
// timeout. Until then publish returns how long.
func (z *ZKDiscovery) publish(publish func(Snapshot)) (hold time.Duration) {
	if z.known == nil {
		return 0
	}
	servers := slices.Compact(slices.Sorted(maps.Values(z.known))) // one server may have two znodes for a while
	if len(servers) > 0 && servers[0] == "" {
		servers = servers[1:]
	}
	now := Snapshot{Servers: servers, Stale: z.session.Conn() == nil}
	if len(servers) == 0 && len(z.last.Servers) > 0 {
		if hold = z.session.Timeout() - z.session.Age(); hold > 0 || now.Stale {
			now = Snapshot{Servers: z.last.Servers, Stale: true}
		}
	}
	if !z.published || z.last.Stale != now.Stale || !slices.Equal(z.last.Servers, now.Servers) {
		z.last, z.published = now, true
		publish(now)
	}
	return hold
}
