// The clients as far as they only watch: each a session of its own that notes
// which servers it learned of, and when.

//go:build linux

package discovery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	rpc "example.com/rpcworkbook/final"
)

// clientSession is the clients' session timeout, the commands' default.
const clientSession = 6 * time.Second

// A fleet is a number of clients that watch one root.
type fleet struct {
	zk, root string
	watchers []*watcher
}

// grow adds clients until there are n, and returns when each of them knows so
// many servers.
func (f *fleet) grow(ctx context.Context, n, servers int) error {
	for len(f.watchers) < n {
		w, err := startWatcher(f.zk, f.root)
		if err != nil {
			return err
		}
		f.watchers = append(f.watchers, w)
	}
	_, err := f.await(ctx, time.Time{}, func(s rpc.Snapshot) bool { return len(s.Servers) >= servers })
	return err
}

// await waits until every client has published such a snapshot after a moment,
// and returns when each did for the first time.
func (f *fleet) await(ctx context.Context, since time.Time, such func(rpc.Snapshot) bool) ([]time.Time, error) {
	late := fmt.Errorf("not all of %d clients know it after %v", len(f.watchers), maxWait)
	ctx, cancel := context.WithTimeoutCause(ctx, maxWait, late)
	defer cancel()
	var times []time.Time
	for _, w := range f.watchers {
		at, err := w.await(ctx, since, such)
		if err != nil {
			return nil, err
		}
		times = append(times, at)
	}
	return times, nil
}

// close ends the sessions.
func (f *fleet) close() {
	for _, w := range f.watchers {
		w.cancel()
	}
	for _, w := range f.watchers {
		<-w.done
	}
	f.watchers = nil
}

// A watcher is one client.
type watcher struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the session has ended

	mu      sync.Mutex
	seen    []sighting    // since the last await
	updated chan struct{} // closed, and replaced, with each one
}

// A sighting is a snapshot and when it was published.
type sighting struct {
	at       time.Time
	snapshot rpc.Snapshot
}

func startWatcher(zk, root string) (*watcher, error) {
	session, err := rpc.NewSession(zk, clientSession)
	if err != nil {
		return nil, err
	}
	discovery := rpc.NewZKDiscovery(session, root)

	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{cancel: cancel, done: make(chan struct{}), updated: make(chan struct{})}
	go func() {
		defer close(w.done)
		discovery.Watch(ctx, func(s rpc.Snapshot) {
			now := time.Now()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, sighting{now, s})
			close(w.updated)
			w.updated = make(chan struct{})
		})
	}()
	return w, nil
}

// await waits for the first such snapshot that was published after a moment.
func (w *watcher) await(ctx context.Context, since time.Time, such func(rpc.Snapshot) bool) (time.Time, error) {
	for {
		w.mu.Lock()
		updated := w.updated
		for _, s := range w.seen {
			if s.at.After(since) && such(s.snapshot) {
				w.seen = w.seen[len(w.seen)-1:] // the latest is what it knows now
				w.mu.Unlock()
				return s.at, nil
			}
		}
		w.mu.Unlock()

		select {
		case <-updated:
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}

// lists and lacks are what a snapshot can be awaited for.
func lists(addr string) func(rpc.Snapshot) bool {
	return func(s rpc.Snapshot) bool { return !s.Stale && slices.Contains(s.Servers, addr) }
}

func lacks(addr string) func(rpc.Snapshot) bool {
	return func(s rpc.Snapshot) bool { return !s.Stale && !slices.Contains(s.Servers, addr) }
}

// delaysSince returns how long after a moment each of the times was, in
// milliseconds; 0 for one that was not.
func delaysSince(since time.Time, times []time.Time) (values []float64) {
	for _, at := range times {
		values = append(values, max(0, milliseconds(at.Sub(since))))
	}
	return values
}
