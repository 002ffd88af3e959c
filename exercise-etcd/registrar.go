// Registration: a key that says where the server is, attached to a lease that
// the master keeps alive. It is a reconciler, as ZooKeeper's is: woken by
// anything that may matter, it compares what should be with what is, and does
// the next step.

package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	rpc "example.com/rpcworkbook/final"
)

// A Registrar registers one endpoint under a lease. It implements
// rpc.Registration, and is safe for concurrent use.
type Registrar struct {
	config clientv3.Config
	root   string
	data   string // the endpoint, as our key has it

	// What others tell run.
	wanted    atomic.Bool   // a worker serves
	poke      chan struct{} // holds one token when wanted has changed
	closeOnce sync.Once
	ctx       context.Context // ends with the first Close
	cancel    context.CancelFunc
	last      context.Context // bounds the end of the registration; set before ctx ends

	// What run tells others.
	known atomic.Bool   // clients may know of a key of ours; the end of the registration leaves it as it is
	done  chan struct{} // closed when run has returned

	// What is, as far as run knows; nobody else touches it. There is a key only
	// while there is a lease, and its name is the lease's.
	client  *clientv3.Client // nil: none yet
	lease   clientv3.LeaseID // ours, or NoLease
	put     bool             // the key was put, attached to our lease
	asked   time.Duration    // the time to live that we ask for
	granted time.Duration    // the time to live that the latest lease was given; before the first: as asked

	// The stream on which the lease is kept alive, run's too.
	lessor clientv3.Lease                          // nil: no stream
	alive  <-chan *clientv3.LeaseKeepAliveResponse // delivers when the lease was renewed; closed: the stream has ended
}

// NewRegistrar prepares to register the endpoint as root + "/rpc/" + the lease
// in hexadecimal. The time to live is rounded to seconds, from 1 on; etcd may
// raise it, to one and a half times its own election timeout. config is what
// clientv3.New takes: addresses, TLS, user and password.
func NewRegistrar(config clientv3.Config, root string, ttl time.Duration, endpoint rpc.Endpoint) *Registrar {
	ttl = max(ttl.Round(time.Second), time.Second)
	data, _ := json.Marshal(endpoint) // a string and a number never fail
	r := &Registrar{
		config:  config,
		root:    root,
		data:    string(data),
		poke:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		asked:   ttl,
		granted: ttl,
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	go r.run()
	return r
}

// SetServing says whether the endpoint should be registered. It doesn't block.
func (r *Registrar) SetServing(serving bool) {
	r.wanted.Store(serving)
	select {
	case r.poke <- struct{}{}:
	default: // run has yet to see the last one, and will see this, too
	}
}

// Close ends the registration for good, by revoking the lease, and reports
// whether clients may have known of it until now. It blocks until etcd has
// confirmed or ctx ends.
func (r *Registrar) Close(ctx context.Context) (wasRegistered bool) {
	// run may be in the middle of a step. If it withdraws the key, clients knew
	// of it until now; if it puts one, they may know of it by the end.
	wasKnown := r.known.Load()
	r.closeOnce.Do(func() {
		r.last = ctx
		r.cancel()
	})
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	return wasKnown || r.known.Load()
}

// run takes the next step whenever it is woken, until the registrar is closed.
func (r *Registrar) run() {
	defer close(r.done)

	failures, warned := 0, ""
	for r.ctx.Err() == nil {
		err := r.reconcile()
		if r.lease == clientv3.NoLease {
			r.known.Store(false) // there was no key, or it went with its lease
		}
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			failures = 0 // etcd is there, and a new lease all that it takes
		}

		// While all is well the lease is renewed about three times in its time
		// to live.
		wait := r.granted * 2 / 3
		if err == nil {
			failures, warned = 0, ""
		} else if r.ctx.Err() == nil {
			warned = r.log(err, warned)
			wait = pause(failures)
			failures++
		}

		select {
		case _, ok := <-r.alive:
			if !ok {
				r.mute()
			}
		case <-time.After(wait): // the stream hangs, or what failed is tried again
			r.mute()
		case <-r.poke:
		case <-r.ctx.Done():
		}
	}
	r.end()
}

// log logs what reconcile failed with. Each trouble is worth one warning,
// however long it lasts: warned is the text of the last warning, and log
// returns the text to remember.
func (r *Registrar) log(err error, warned string) string {
	level := slog.LevelDebug
	if err.Error() != warned {
		level = slog.LevelWarn
		warned = err.Error()
	}

	what := "not registered"
	if r.put {
		what = "still registered, as far as we know"
	}
	slog.Log(r.ctx, level, what, "err", err)
	return warned
}

// end revokes the lease. The member that is asked first may hang: so end tries
// until there is no more time.
func (r *Registrar) end() {
	if r.client == nil {
		return
	}
	defer r.client.Close()

	for failures := 0; ; failures++ {
		err := r.revoke(r.last)
		if err == nil {
			return
		}
		select {
		case <-time.After(pause(failures)):
		case <-r.last.Done():
			slog.Warn("the key stays until its lease has run out", "key", r.key(), "err", err)
			return
		}
	}
}

// reconcile takes the steps from what is to what should be.
func (r *Registrar) reconcile() error {
	if r.client == nil {
		client, err := connect(r.config)
		if err != nil {
			return err
		}
		r.client = client
	}

	if !r.wanted.Load() {
		if err := r.revoke(r.ctx); err != nil {
			return fmt.Errorf("withdraw: %w", err)
		}
		return nil
	}

	if r.lease == clientv3.NoLease {
		if err := r.grant(); err != nil {
			return err
		}
	}
	wasPut := r.put
	if !r.put {
		if err := r.register(); err != nil {
			return err
		}
	}
	if r.alive == nil {
		if err := r.keepAlive(); err != nil {
			return err
		}
	}
	if wasPut {
		return r.look()
	}
	return nil
}

// grant gets a lease. If the answer is lost there is one that nobody knows. It
// has no key, and runs out.
func (r *Registrar) grant() error {
	grant, err := request(r.ctx, func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		return r.client.Grant(ctx, int64(r.asked/time.Second))
	})
	if err != nil {
		return fmt.Errorf("get a lease: %w", err)
	}

	granted := time.Duration(grant.TTL) * time.Second
	if granted != r.granted && granted != r.asked {
		slog.Warn("etcd grants another time to live", "asked", r.asked, "granted", granted)
	}
	r.lease, r.granted = grant.ID, granted
	return nil
}

// register puts the key. If the answer is lost we put again: the same key, so
// that there is one.
func (r *Registrar) register() error {
	r.known.Store(true)
	_, err := request(r.ctx, func(ctx context.Context) (*clientv3.PutResponse, error) {
		return r.client.Put(ctx, r.key(), r.data, clientv3.WithLease(r.lease))
	})
	if err != nil {
		return fmt.Errorf("register %s: %w", r.key(), r.forget(err))
	}
	r.put = true
	slog.Info("registered", "key", r.key(), "data", r.data)
	return nil
}

// look puts the key again if somebody has deleted or changed it. run calls it
// when the lease has been renewed, three times in its time to live. A watch
// would tell sooner, but a watch that is silent may hang with a member that
// hangs. And however often somebody deletes the key, we put it no more often
// than that.
func (r *Registrar) look() error {
	found, err := request(r.ctx, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return r.client.Get(ctx, r.key())
	})
	if err != nil {
		return fmt.Errorf("look at %s: %w", r.key(), err)
	}

	for _, kv := range found.Kvs { // one, or none
		if string(kv.Value) == r.data && kv.Lease == int64(r.lease) {
			return nil
		}
	}
	slog.Warn("somebody has deleted or changed our key", "key", r.key())
	return r.register()
}

// keepAlive asks whether the lease lives, and begins to keep it alive. The
// question comes first because nobody but etcd knows: etcd's clock may have
// stood still, or etcd has a new leader, which gives every lease its full time
// again.
func (r *Registrar) keepAlive() error {
	_, err := request(r.ctx, func(ctx context.Context) (*clientv3.LeaseKeepAliveResponse, error) {
		return r.client.KeepAliveOnce(ctx, r.lease)
	})
	if err != nil {
		return fmt.Errorf("keep the lease alive: %w", r.forget(err))
	}

	// Not the client's own lessor, whose one stream may hang with a member that
	// hangs.
	r.lessor = clientv3.NewLease(r.client)
	r.alive, err = r.lessor.KeepAlive(r.ctx, r.lease)
	if err != nil {
		return fmt.Errorf("keep the lease alive: %w", r.forget(err))
	}
	return nil
}

// key is the name of our registration.
func (r *Registrar) key() string { return fmt.Sprintf("%s/rpc/%x", r.root, int64(r.lease)) }

// mute ends the stream of keep-alives, if there is one.
func (r *Registrar) mute() {
	if r.lessor != nil {
		r.lessor.Close()
	}
	r.lessor, r.alive = nil, nil
}

// forget forgets the lease if err says that it is gone, and its key with it. It
// returns err.
func (r *Registrar) forget(err error) error {
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		r.lease, r.put = clientv3.NoLease, false
	}
	return err
}

// revoke ends the lease, if there is one.
func (r *Registrar) revoke(ctx context.Context) error {
	r.mute()
	if r.lease == clientv3.NoLease {
		return nil
	}

	_, err := request(ctx, func(ctx context.Context) (*clientv3.LeaseRevokeResponse, error) {
		return r.client.Revoke(ctx, r.lease)
	})
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return err
	}

	if r.put {
		slog.Info("withdrawn", "key", r.key())
	}
	_ = r.forget(rpctypes.ErrLeaseNotFound)
	return nil
}
