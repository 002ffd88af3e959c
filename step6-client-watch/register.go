// Registration: the master keeps one ephemeral sequential znode for its
// address while a worker serves. It is a reconciler: woken by anything that
// may matter, it compares what should be with what is, and does the next step.
// So that it is also woken when somebody takes the znode away, it watches it.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// A Registrar registers one endpoint. It is safe for concurrent use.
type Registrar struct {
	// ACL returns who may do what with the znode that is about to be created at
	// that path: a registration, or the root, or one above the root. The
	// default: everybody may do everything. Set it before the first SetServing.
	ACL func(path string) []zk.ACL

	session    *Session
	root       string
	data       []byte
	wanted     atomic.Bool   // a worker serves
	registered atomic.Bool   // there is a znode
	creating   atomic.Bool   // there may be one: nobody has answered yet
	poke       chan struct{} // holds one token when wanted has changed
	closing    chan struct{}
	close      sync.Once
	done       chan struct{} // closed when run has returned

	// What follows belongs to run.
	node    string          // our znode's path
	owner   int64           // the session that node lives in
	watched string          // the path of the znode that we watch
	touched <-chan zk.Event // delivers when somebody has changed or deleted it
	mine    map[int64]bool  // every session in which we tried to create one
	doubt   bool            // a create may have worked without our knowing
}

// errTaken says that our znode is not as we made it, or not at all. Then it is
// made again, but not at once: whoever took it away may do so again and again.
var errTaken = errors.New("somebody has deleted or changed our znode")

// calm is how long all must have been well before what goes wrong is something
// new, and not the same trouble again.
const calm = 10 * time.Second

// NewRegistrar prepares to register the endpoint under root, an absolute path
// that is created if missing. It takes over the session.
func NewRegistrar(session *Session, root string, endpoint Endpoint) *Registrar {
	data, _ := encode(endpoint) // a string and a number never fail
	r := &Registrar{
		ACL:     func(string) []zk.ACL { return zk.WorldACL(zk.PermAll) },
		session: session, root: root, data: data, mine: make(map[int64]bool),
		poke: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go r.run()
	return r
}

// SetServing says whether the endpoint should be registered. It doesn't block.
func (r *Registrar) SetServing(serving bool) {
	r.wanted.Store(serving)
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Close ends the registration for good, by ending the session, and reports
// whether clients may have known of it until now. It blocks until ZooKeeper has
// confirmed or ctx ends.
func (r *Registrar) Close(ctx context.Context) (wasRegistered bool) {
	r.close.Do(func() { close(r.closing) })
	wasRegistered = r.registered.Load() || r.creating.Load()
	if err := r.session.Close(ctx); err != nil && wasRegistered {
		slog.Warn("the znode stays until its session times out", "err", err)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	return wasRegistered
}

func (r *Registrar) run() {
	defer close(r.done)
	failures, told := 0, ""
	var lastFailure time.Time
	for {
		err := r.reconcile()
		r.registered.Store(r.node != "")
		r.creating.Store(r.doubt)

		news := r.session.Changed()
		var retry <-chan time.Time
		if err == nil {
			told = ""
		} else {
			if time.Since(lastFailure) > calm {
				failures = 0
			}
			lastFailure = time.Now()
			told = r.tell(err, failures, told)
			retry = time.After(retryPause(failures, 3*time.Second))
		}
		if errors.Is(err, errTaken) {
			news = nil // the loss of the znode is news, too
		}

		select {
		case <-news:
		case <-r.touched:
			r.watched, r.touched = "", nil // a watch fires once
		case <-r.poke:
		case <-retry:
			failures++
		case <-r.closing:
			return
		}
	}
}

// retryPause is how long to wait after so many failures in a row: longer each
// time, up to longest, and not in step with the others to whom the same has
// happened.
func retryPause(failures int, longest time.Duration) time.Duration {
	pause := min(200*time.Millisecond<<min(failures, 10), longest)
	return pause/2 + rand.N(pause/2)
}

// tell logs what reconcile failed with. Each trouble is worth one warning,
// however long it lasts; told is the one that was given last, and tell returns
// the one to remember. That there is no session yet is no trouble before it has
// lasted for a while, nor while the znode is there.
func (r *Registrar) tell(err error, failures int, told string) string {
	trouble := err.Error()
	noSession := errors.Is(err, ErrNoSession)
	if noSession {
		trouble = ErrNoSession.Error() // the reason may be another each time
	}
	level := slog.LevelDebug
	if trouble != told && (!noSession || failures >= 3 && r.node == "") {
		level, told = slog.LevelWarn, trouble
	}

	what := "not registered"
	if r.node != "" {
		what = "registered, as far as we know"
	}
	if errors.Is(err, zk.ErrNoAuth) {
		err = fmt.Errorf("not allowed, the ACL asks for credentials that we don't have: %w", err)
	}
	slog.Log(context.Background(), level, what, "err", err)
	return told
}

// reconcile takes the steps from what is to what should be.
func (r *Registrar) reconcile() error {
	conn := r.session.Conn()
	if conn == nil {
		return r.session.noSession()
	}
	session := conn.SessionID()
	if session == 0 { // it has expired this moment
		return ErrNoSession
	}
	if r.owner != session {
		r.node, r.watched = "", "" // they went with the session that owned them
	}

	if r.doubt {
		if err := r.resolve(session); err != nil {
			return fmt.Errorf("look for our znode: %w", err)
		}
	}

	wanted := r.wanted.Load()
	if wanted && r.node == "" {
		if err := r.create(session); err != nil {
			return err
		}
	}
	if wanted {
		return r.guard(session)
	}
	if r.node != "" {
		if err := r.remove(r.node); err != nil {
			r.node, r.doubt = "", true // it may be gone
			return fmt.Errorf("withdraw: %w", err)
		}
		r.node = ""
		slog.Info("withdrawn")
	}
	return nil
}

// guard watches our znode, with one watch at a time: the library can't take one
// back. If the znode is gone, or not as it should be, the error is errTaken.
func (r *Registrar) guard(session int64) error {
	if r.watched == r.node {
		return nil
	}

	type look struct {
		data    []byte
		owner   int64
		touched <-chan zk.Event
	}
	node := r.node // the request may outlive our waiting for it
	found, err := Do(r.session, func(c *zk.Conn) (look, error) {
		data, stat, touched, err := c.GetW(node)
		if err != nil {
			return look{}, err
		}
		return look{data, stat.EphemeralOwner, touched}, nil
	})
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("watch %s: %w", node, err)
	}

	ours := err == nil && found.owner == session // a root that was made again numbers from 0, again
	if ours && bytes.Equal(found.data, r.data) {
		r.watched, r.touched = node, found.touched
		return nil
	}
	if ours { // a client reads a znode only once: so the right data need a new one
		if err := r.remove(node); err != nil {
			return fmt.Errorf("remove %s, which was changed: %w", node, err)
		}
	}
	r.node = ""
	return fmt.Errorf("%w: %s", errTaken, node)
}

// create makes our znode. After an error it may exist all the same.
func (r *Registrar) create(session int64) error {
	r.mine[session] = true
	r.creating.Store(true) // clients may know it before we do
	path, err := r.createNode(session)
	if errors.Is(err, zk.ErrNoNode) {
		if err := r.createRoot(); err != nil {
			return fmt.Errorf("create %s: %w", r.root, err)
		}
		path, err = r.createNode(session)
	}
	if err != nil {
		r.doubt = isAmbiguous(err)
		return fmt.Errorf("register under %s: %w", r.root, err)
	}
	r.node, r.owner = path, session
	slog.Info("registered", "znode", path, "data", string(r.data))
	return nil
}

func (r *Registrar) createNode(session int64) (path string, err error) {
	acl := r.ACL(r.root + "/rpc")
	return Do(r.session, func(c *zk.Conn) (string, error) {
		path, err := c.Create(r.root+"/rpc", r.data, zk.FlagEphemeral|zk.FlagSequence, acl)
		if err == nil && c.SessionID() != session {
			err = zk.ErrSessionExpired // whose znode is it?
		}
		return path, err
	})
}

// isAmbiguous reports whether a request that ended with err may have been
// carried out, or may be later. Any other error is ZooKeeper's refusal, or ours.
func isAmbiguous(err error) bool {
	for _, maybe := range []error{ErrUnanswered, zk.ErrConnectionClosed, zk.ErrSessionExpired, zk.ErrSessionMoved, zk.ErrClosing} {
		if errors.Is(err, maybe) {
			return true
		}
	}
	return false
}

func (r *Registrar) createRoot() error {
	for i := 1; i <= len(r.root); i++ {
		if i < len(r.root) && r.root[i] != '/' {
			continue
		}
		acl := r.ACL(r.root[:i])
		_, err := Do(r.session, func(c *zk.Conn) (string, error) { return c.Create(r.root[:i], nil, 0, acl) })
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return nil
}

func (r *Registrar) remove(path string) error {
	_, err := Do(r.session, func(c *zk.Conn) (any, error) { return nil, c.Delete(path, -1) })
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// resolve finds out what became of creates whose answer we never got. The
// session may be with another member of ZooKeeper by now, which has yet to hear
// of a create that is under way. A sync goes to the leader and comes back behind
// everything that the leader had before; what the member that we left still
// sends for our session is refused. So the list shows every create that worked.
func (r *Registrar) resolve(session int64) error {
	names, err := Do(r.session, func(c *zk.Conn) ([]string, error) {
		if _, err := c.Sync(r.root); err != nil {
			return nil, err
		}
		names, _, err := c.Children(r.root)
		return names, err
	})
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	for _, name := range names {
		path := r.root + "/" + name
		owner, err := Do(r.session, func(c *zk.Conn) (int64, error) {
			data, stat, err := c.Get(path)
			if err != nil || !bytes.Equal(data, r.data) {
				return 0, err
			}
			return stat.EphemeralOwner, nil
		})
		switch {
		case errors.Is(err, zk.ErrNoNode), errors.Is(err, zk.ErrNoAuth): // gone meanwhile, or hidden and so not ours
		case err != nil:
			return err
		case owner == session && r.node == "":
			r.node, r.owner = path, session
			slog.Info("registered after all", "znode", path)
		case owner != 0 && r.mine[owner] && path != r.node:
			if err := r.remove(path); err != nil {
				return err
			}
		}
	}
	r.doubt = false
	return nil
}

// RegisterableHost returns the host that clients are to call: advertise if
// given, otherwise the host that the server listens on.
func RegisterableHost(advertise, host string) (string, error) {
	if advertise != "" {
		host = advertise
		if !isHost(host) || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fmt.Errorf("-advertise %q must be a name or an address, without brackets or port", advertise)
		}
	}
	if isUnspecified(host) {
		return "", fmt.Errorf("clients can't call %q: say with -advertise under which name or address they reach this server", host)
	}
	return host, nil
}

// isUnspecified reports whether host means all addresses of the machine that it
// is on, however that is written: 0.0.0.0, ::, 0, ::ffff:0.0.0.0.
func isUnspecified(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.Trim(host, "0.:") == "" || err == nil && addr.WithZone("").Unmap().IsUnspecified()
}
