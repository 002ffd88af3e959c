// Watching: the client learns from etcd which servers there are, and of every
// change. It gets all keys at a revision and watches from that one on, so that
// nothing is missed between the two; whatever goes wrong, it gets again.

package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rpc "example.com/rpcworkbook/final"
)

// A Discovery finds the servers registered in etcd. It implements
// rpc.Discovery; Watch may be called once.
type Discovery struct {
	config  clientv3.Config
	prefix  string
	session time.Duration

	mu  sync.Mutex
	err error // what Err returns; guarded by mu

	// What follows belongs to Watch.

	client *clientv3.Client // nil: none yet

	// The set, as etcd had it at a revision.
	servers   map[string]string // address by key, "" for data that is no address; nil: not known yet
	revision  int64
	stale     bool      // the latest attempt to get the set has failed
	recovered time.Time // when the set was got again after trouble

	last *rpc.Snapshot // what was published last; nil: nothing
}

// NewDiscovery returns a Discovery of what is registered under root + "/rpc/".
// session is about how long etcd may be silent before its word counts as stale,
// and how long an empty list must last after trouble before it is believed: the
// servers' time to live, at least 1 s. config is what clientv3.New takes.
func NewDiscovery(config clientv3.Config, root string, session time.Duration) *Discovery {
	return &Discovery{config: config, prefix: root + "/rpc/", session: max(session, time.Second)}
}

// Err returns what the latest attempt to read the set failed with, nil if it
// didn't fail. It is safe for concurrent use.
func (d *Discovery) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *Discovery) setErr(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// Watch implements rpc.Discovery.
func (d *Discovery) Watch(ctx context.Context, publish func(rpc.Snapshot)) {
	defer d.close()

	failures := 0
	for {
		err := d.get(ctx)
		if ctx.Err() != nil {
			return
		}
		d.setErr(err)
		d.stale = err != nil
		d.update(publish)

		if err == nil {
			failures = 0
			err = d.follow(ctx, publish)
		}
		if ctx.Err() != nil {
			return
		}

		slog.Debug("etcd is read again", "err", err)
		select {
		case <-time.After(pause(failures)):
		case <-ctx.Done():
		}
		failures++
	}
}

// close closes the client, if there is one.
func (d *Discovery) close() {
	if d.client != nil {
		d.client.Close()
	}
}

// get reads all that is registered.
func (d *Discovery) get(ctx context.Context) error {
	if d.client == nil {
		client, err := connect(d.config)
		if err != nil {
			return err
		}
		d.client = client
	}

	all, err := request(ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return d.client.Get(ctx, d.prefix, clientv3.WithPrefix())
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", d.prefix, err)
	}

	if len(d.servers) > 0 { // an empty list that comes again has waited already
		d.recovered = time.Now()
	}
	d.servers, d.revision = make(map[string]string, len(all.Kvs)), all.Header.Revision
	for _, kv := range all.Kvs {
		d.put(string(kv.Key), kv.Value)
	}
	return nil
}

// put notes what a key holds.
func (d *Discovery) put(key string, data []byte) {
	addr, err := rpc.ParseEndpoint(data)
	if err != nil {
		slog.Warn("key skipped", "key", key, "err", err)
	}
	d.servers[key] = addr
}

var errSilent = errors.New("etcd is silent")

// follow applies every change until something goes wrong, which it returns.
//
// A watch that is silent may have nothing to say, or nobody who listens: etcd
// hangs, or it is a new one whose revisions have yet to come to ours. So etcd
// is asked, three times in a session, how far it is, on the stream of the
// watch. It doesn't answer before it has reached the revision that we watch
// from. So we watch from the revision that we have: its last change comes
// again, and does no harm.
func (d *Discovery) follow(ctx context.Context, publish func(rpc.Snapshot)) error {
	// A member that has lost the others must end the watch. Without
	// WithRequireLeader the member would keep the watch, and keep quiet.
	ctx, cancel := context.WithCancelCause(clientv3.WithRequireLeader(ctx))
	defer cancel(nil)

	// Not the client's own watcher, whose one stream may hang.
	stream := &oneStream{WatchClient: pb.NewWatchClient(d.client.ActiveConnection())}
	watcher := clientv3.NewWatchFromWatchClient(stream, d.client)
	defer watcher.Close()

	patience := d.session * 2 / 3
	silence := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer silence.Stop()

	// Watch blocks until etcd has said yes, or the silence is over.
	changes := watcher.Watch(ctx, d.prefix, clientv3.WithPrefix(), clientv3.WithRev(d.revision))
	heartbeat := time.NewTicker(d.session / 3)
	defer heartbeat.Stop()

	for {
		var believe <-chan time.Time
		if hold := d.update(publish); hold > 0 {
			believe = time.After(hold)
		}

		select {
		case change, ok := <-changes:
			if !ok {
				return context.Cause(ctx)
			}
			if err := d.apply(change); err != nil {
				return err
			}
			silence.Reset(patience)
		case <-heartbeat.C:
			if err := watcher.RequestProgress(ctx); err != nil {
				return errors.Join(err, context.Cause(ctx))
			}
		case <-believe:
		}
	}
}

// oneStream ends a watch when its stream ends. The library would resume the
// watch on another stream, from the revision after the last that it has seen.
// But an etcd that was wiped may have come to that revision again, by another
// way: then what we know is wrong, and nothing would say so.
type oneStream struct {
	pb.WatchClient
	opened atomic.Bool
}

func (o *oneStream) Watch(ctx context.Context, options ...grpc.CallOption) (pb.Watch_WatchClient, error) {
	if o.opened.Swap(true) {
		return nil, status.Error(codes.Aborted, "the stream of the watch broke")
	}
	return o.WatchClient.Watch(ctx, options...)
}

// apply applies one answer of the watch.
func (d *Discovery) apply(change clientv3.WatchResponse) error {
	if err := change.Err(); err != nil { // such as: what we ask for was compacted away
		return err
	}
	if change.Header.Revision < d.revision {
		return fmt.Errorf("etcd has gone back from revision %d to %d", d.revision, change.Header.Revision)
	}

	for _, event := range change.Events {
		if event.Type == clientv3.EventTypeDelete {
			delete(d.servers, string(event.Kv.Key))
		} else {
			d.put(string(event.Kv.Key), event.Kv.Value)
		}
	}
	d.revision = change.Header.Revision
	return nil
}

// update publishes the known set if it differs from the last. An empty list
// just after trouble is likelier an etcd that has lost its leases than the end
// of all servers: it is believed only if it lasts for a session. Until then
// hold is how long that still takes, and otherwise it is 0 or less.
func (d *Discovery) update(publish func(rpc.Snapshot)) (hold time.Duration) {
	if d.servers == nil {
		return 0
	}

	now := rpc.Snapshot{Servers: d.addrs(), Stale: d.stale}
	if len(now.Servers) == 0 && d.last != nil && len(d.last.Servers) > 0 {
		hold = d.session - time.Since(d.recovered)
		if hold > 0 || d.stale {
			now = rpc.Snapshot{Servers: d.last.Servers, Stale: true}
		}
	}

	isNew := d.last == nil || now.Stale != d.last.Stale || !slices.Equal(now.Servers, d.last.Servers)
	if isNew {
		d.last = &now
		publish(now)
	}
	return hold
}

// addrs returns the addresses of the set, sorted, each once.
func (d *Discovery) addrs() []string {
	addrs := slices.Sorted(maps.Values(d.servers))
	addrs = slices.Compact(addrs) // one server may have two keys for a while
	return slices.DeleteFunc(addrs, func(addr string) bool { return addr == "" })
}
