// Registration: the master keeps one ephemeral sequential znode for its
// address while a worker serves. It is a reconciler: woken by anything that
// may matter, it compares what should be with what is, and does the next step.
// So that it is also woken when somebody takes the znode away, it watches it.

package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

	session *Session
	root    string
	data    []byte // the endpoint, as our znode has it

	// What others tell run.
	wanted    atomic.Bool   // a worker serves
	poke      chan struct{} // holds one token when wanted has changed
	closing   chan struct{} // closed by the first Close
	closeOnce sync.Once

	// What run tells others.
	known atomic.Bool   // clients may know of a znode of ours: there is one, or may be
	done  chan struct{} // closed when run has returned

	// What is, as far as run knows; nobody else touches it. While there is
	// doubt, a create of ours may have worked without our knowing: there may be
	// a znode of ours that we don't know of, and none is created. Without doubt
	// we have at most one znode: node, which lives as long as the session owner
	// does.
	doubt bool
	node  string         // our znode's path; "": none
	owner int64          // the session that node was created in
	mine  map[int64]bool // every session in which we tried to create one

	// The one watch, run's too. It is armed, on our znode, when guarded equals
	// node.
	guarded string          // the path of the znode that it was set on; "": it has fired
	touched <-chan zk.Event // delivers when somebody has changed or deleted that znode
}

// errTaken says that our znode is gone, or not as we made it. Then we make
// another, but not at once: whoever took it away may do so again and again.
var errTaken = errors.New("somebody has deleted or changed our znode")

const (
	// maxRetryPause is the longest between two attempts to put right what is
	// wrong.
	maxRetryPause = 3 * time.Second

	// calm is how long all must have been well before what goes wrong is
	// something new, and not the same trouble again.
	calm = 10 * time.Second

	// quietRetries is how many retries may find no session before that is worth
	// a warning.
	quietRetries = 3
)

// NewRegistrar prepares to register the endpoint under root, an absolute path
// that is created if missing. It takes over the session.
func NewRegistrar(session *Session, root string, endpoint Endpoint) *Registrar {
	data, _ := encode(endpoint) // a string and a number never fail
	r := &Registrar{
		ACL:     func(string) []zk.ACL { return zk.WorldACL(zk.PermAll) },
		session: session,
		root:    root,
		data:    data,
		poke:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		mine:    make(map[int64]bool),
	}
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

// Close ends the registration for good, by ending the session, and reports
// whether clients may have known of it until now. It blocks until ZooKeeper has
// confirmed or ctx ends.
func (r *Registrar) Close(ctx context.Context) (wasRegistered bool) {
	r.closeOnce.Do(func() { close(r.closing) })

	// run may be in the middle of a step. If it withdraws the znode, clients
	// knew of it until now; if it creates one, they may know of it by the end.
	wasKnown := r.known.Load()
	err := r.session.Close(ctx)
	select {
	case <-r.done:
	case <-ctx.Done():
	}
	wasRegistered = wasKnown || r.known.Load()

	if err != nil && wasRegistered {
		slog.Warn("the znode stays until its session times out", "err", err)
	}
	return wasRegistered
}

// run takes the next step whenever it is woken, until the registrar is closed.
func (r *Registrar) run() {
	defer close(r.done)

	var t trouble
	for {
		err := r.reconcile()
		r.known.Store(r.node != "" || r.doubt)

		if err == nil {
			t.warned = ""
		} else {
			t.log(err, r.node != "")
		}
		if !r.wait(err, &t) {
			return
		}
	}
}

// wait blocks until there may be a step to take: after an error of reconcile,
// at the latest when it is to be tried again. It returns false when the
// registrar is closed.
func (r *Registrar) wait(err error, t *trouble) (goOn bool) {
	var retry <-chan time.Time
	if err != nil {
		retry = time.After(retryPause(t.retries, maxRetryPause))
	}

	sessionChanged := r.session.Changed()
	if errors.Is(err, errTaken) {
		// A watch that fires is a change of the session, too. Whoever had
		// it fired is answered after the pause, not at once.
		sessionChanged = nil
	}

	select {
	case <-sessionChanged:
	case <-r.touched:
		r.guarded, r.touched = "", nil // a watch fires once
	case <-r.poke:
	case <-retry:
		t.retries++
	case <-r.closing:
		return false
	}
	return true
}

// retryPause returns how long to wait after so many failures in a row: longer
// each time, up to longest, and not in step with others to whom the same has
// happened.
func retryPause(failures int, longest time.Duration) time.Duration {
	pause := min(200*time.Millisecond<<min(failures, 10), longest)
	return pause/2 + rand.N(pause/2)
}

// A trouble is what reconcile fails with, again and again. Each is worth one
// warning, however long it lasts.
type trouble struct {
	retries int       // in this spell of trouble
	last    time.Time // when reconcile last failed
	warned  string    // the gist of the last warning; "": none since reconcile last succeeded
}

// log logs what reconcile failed with. After a calm it counts the retries from
// the beginning. registered says whether the znode is there all the same.
func (t *trouble) log(err error, registered bool) {
	if time.Since(t.last) > calm {
		t.retries = 0
	}
	t.last = time.Now()

	level := slog.LevelDebug
	if t.isNews(err, registered) {
		level = slog.LevelWarn
		t.warned = gist(err)
	}

	what := "not registered"
	if registered {
		what = "registered, as far as we know"
	}
	if errors.Is(err, zk.ErrNoAuth) {
		err = fmt.Errorf("not allowed, the ACL asks for credentials that we don't have: %w", err)
	}
	slog.Log(context.Background(), level, what, "err", err)
}

// isNews reports whether err is worth a warning. A missing session is worth
// none for the first quietRetries, and none at all while we are registered.
func (t *trouble) isNews(err error, registered bool) bool {
	if errors.Is(err, ErrNoSession) && (registered || t.retries < quietRetries) {
		return false
	}
	return gist(err) != t.warned
}

// gist returns what makes err another trouble than the last one. The reason for
// which there is no session may change all the time.
func gist(err error) string {
	if errors.Is(err, ErrNoSession) {
		return ErrNoSession.Error()
	}
	return err.Error()
}

// reconcile takes the steps from what is to what should be.
func (r *Registrar) reconcile() error {
	conn := r.session.Conn()
	if conn == nil {
		return r.session.noSession()
	}
	sessionID := conn.SessionID()
	if sessionID == 0 { // it has expired this moment
		return ErrNoSession
	}
	if r.owner != sessionID {
		r.node, r.guarded = "", "" // znode and watch went with the session that owned them
	}

	if r.doubt {
		if err := r.resolve(sessionID); err != nil {
			return fmt.Errorf("look for our znode: %w", err)
		}
	}

	if !r.wanted.Load() {
		return r.withdraw()
	}
	if r.node == "" {
		if err := r.create(sessionID); err != nil {
			return err
		}
	}
	return r.guard(sessionID)
}

// withdraw deletes our znode, if there is one. After an error it may be there
// or not: node keeps it, and the next attempt deletes it again. If it is wanted
// again by then, guard finds out whether it is gone.
func (r *Registrar) withdraw() error {
	if r.node == "" {
		return nil
	}
	if err := r.remove(r.node); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	r.node = ""
	slog.Info("withdrawn")
	return nil
}

// create makes our znode. After an error it may exist all the same.
func (r *Registrar) create(sessionID int64) error {
	r.mine[sessionID] = true
	r.known.Store(true) // clients may know of the znode before we do

	path, err := r.createNode(sessionID)
	if errors.Is(err, zk.ErrNoNode) {
		if err := r.createRoot(); err != nil {
			return fmt.Errorf("create %s: %w", r.root, err)
		}
		path, err = r.createNode(sessionID)
	}
	if err != nil {
		r.doubt = isAmbiguous(err)
		return fmt.Errorf("register under %s: %w", r.root, err)
	}

	r.node, r.owner = path, sessionID
	slog.Info("registered", "znode", path, "data", string(r.data))
	return nil
}

func (r *Registrar) createNode(sessionID int64) (path string, err error) {
	acl := r.ACL(r.root + "/rpc")
	return Do(r.session, func(c *zk.Conn) (string, error) {
		path, err := c.Create(r.root+"/rpc", r.data, zk.FlagEphemeral|zk.FlagSequence, acl)
		if err == nil && c.SessionID() != sessionID {
			err = zk.ErrSessionExpired // the session has changed meanwhile: in which one was it created?
		}
		return path, err
	})
}

// createRoot makes the root, level by level.
func (r *Registrar) createRoot() error {
	path := ""
	for _, name := range strings.Split(r.root, "/")[1:] { // the first is empty
		path += "/" + name
		err := r.createLevel(path)
		if err != nil && !errors.Is(err, zk.ErrNodeExists) { // others may have been faster
			return err
		}
	}
	return nil
}

func (r *Registrar) createLevel(path string) error {
	acl := r.ACL(path)
	_, err := Do(r.session, func(c *zk.Conn) (string, error) { return c.Create(path, nil, 0, acl) })
	return err
}

// isAmbiguous reports whether a request that ended with err may have been
// carried out, or may be later. Any other error is ZooKeeper's refusal, or
// ours.
func isAmbiguous(err error) bool {
	for _, maybe := range []error{
		ErrUnanswered,          // the answer may still come
		zk.ErrConnectionClosed, // the connection broke before the answer came
		zk.ErrSessionExpired,   // the session ended before the answer came
		zk.ErrSessionMoved,     // another member has the session, and may have had the request
		zk.ErrClosing,          // the connection was closed on purpose, before the answer came
	} {
		if errors.Is(err, maybe) {
			return true
		}
	}
	return false
}

// remove deletes a znode. That it is gone already is no error.
func (r *Registrar) remove(path string) error {
	_, err := Do(r.session, func(c *zk.Conn) (any, error) { return nil, c.Delete(path, -1) })
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// guard watches our znode, with one watch at a time: the library can't take a
// watch back. If the znode is gone, or not as it should be, the error is
// errTaken.
func (r *Registrar) guard(sessionID int64) error {
	if r.guarded == r.node {
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

	// The name doesn't tell: a root that was made again numbers from 0, again.
	ours := err == nil && found.owner == sessionID
	if ours && bytes.Equal(found.data, r.data) {
		r.guarded, r.touched = node, found.touched
		return nil
	}

	if ours { // clients cache a znode's data: correcting it in place would not reach them
		if err := r.remove(node); err != nil {
			return fmt.Errorf("remove %s, which was changed: %w", node, err)
		}
	}
	r.node = ""
	return fmt.Errorf("%w: %s", errTaken, node)
}

// resolve finds out what became of creates whose answer we never got. The
// session may be with another member of ZooKeeper by now, which has yet to hear
// of a create that is under way. So resolve syncs first: a sync goes to the
// leader, and its answer comes after everything that the leader had before. A
// create that the old member sends on to the leader after that is refused,
// because the session has moved (chapter 5's README, 5.12). So the list after
// the sync shows every create that worked.
func (r *Registrar) resolve(sessionID int64) error {
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
		if err := r.settle(r.root+"/"+name, sessionID); err != nil {
			return err
		}
	}
	r.doubt = false
	return nil
}

// settle decides, while there is doubt, what to do with one znode under the
// root. The first one of this session is adopted. Any other that is ours is
// deleted: another one of this session, or one that an earlier session of ours
// has left.
func (r *Registrar) settle(path string, sessionID int64) error {
	owner, err := Do(r.session, func(c *zk.Conn) (int64, error) {
		data, stat, err := c.Get(path)
		if err != nil || !bytes.Equal(data, r.data) {
			return 0, err
		}
		return stat.EphemeralOwner, nil
	})

	switch {
	case errors.Is(err, zk.ErrNoNode): // gone meanwhile
	case errors.Is(err, zk.ErrNoAuth): // hidden, and so not ours
	case err != nil:
		return err
	case owner == sessionID && r.node == "":
		r.node, r.owner = path, sessionID
		slog.Info("registered after all", "znode", path)
	case owner != 0 && r.mine[owner] && path != r.node:
		return r.remove(path)
	}
	return nil
}
