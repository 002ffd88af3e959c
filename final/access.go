// Access: credentials for ZooKeeper, so that only servers that have them can
// register, and strangers can only look. ZooKeeper never refuses a password:
// whoever gives another one is somebody else, whom the ACLs don't let in.

package rpc

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// refusedPause is how long to wait before credentials that ZooKeeper couldn't
// use at all are offered again. It also ends the connection then, and we are
// back at once.
const refusedPause = 3 * time.Second

// Credentials are a user and a password for ZooKeeper's digest scheme.
type Credentials struct {
	User string
	auth []byte // "user:password"
}

// ParseCredentials reads "user:password", neither of them empty. The password
// may contain colons. The error doesn't show any part of the text.
func ParseCredentials(text string) (*Credentials, error) {
	user, password, found := strings.Cut(text, ":")
	wrong := ""
	switch {
	case !found:
		wrong = "it has no colon"
	case user == "":
		wrong = "the user is empty"
	case password == "":
		wrong = "the password is empty"
	default:
		return &Credentials{User: user, auth: []byte(text)}, nil
	}
	return nil, fmt.Errorf("credentials must be user:password, and %s", wrong)
}

// Use has all requests of a session made with the credentials. Call it before
// the session's first request.
func (c *Credentials) Use(s *Session) {
	i := &introduction{scheme: "digest", auth: c.auth, timeout: s.asked}
	s.Prepare = i.prepare
}

// Protect has a Registrar register with the credentials, which Use must have
// given to its session, and with ACLs: everyone may read the znodes that it
// creates, so that clients need no credentials, and only who has the same
// credentials may do anything else. Above the root everyone may also create:
// others may want to put their own roots there. ZooKeeper asks a znode's parent
// who may create or delete it. So registrations are only safe under a root that
// is closed, too; when the root was there before and is open, the log says so.
// Call it before the first SetServing.
func (c *Credentials) Protect(r *Registrar) {
	warned := false
	r.ACL = func(path string) []zk.ACL {
		everyone := int32(zk.PermRead)
		switch {
		case strings.HasPrefix(r.root, path+"/"):
			everyone |= zk.PermCreate
		case path != r.root: // a registration
			threat := openTo(r.session, r.root)
			if threat != "" && !warned {
				slog.Warn(r.root+" is open: strangers can "+threat, "remedy",
					"in zkCli.sh: addauth digest "+c.User+":PASSWORD, then setAcl "+r.root+
						" auth::cdrwa,world:anyone:r; then only servers with these credentials can register")
			}
			warned = threat != ""
		}

		// "auth" are the credentials that the connection has; ZooKeeper fills
		// them in.
		return append(zk.AuthACL(zk.PermAll), zk.WorldACL(everyone)...)
	}
}

// openTo returns what everyone can do to registrations under root; "" for
// nothing, or when that can't be found out.
func openTo(s *Session, root string) string {
	acl, err := Do(s, func(c *zk.Conn) ([]zk.ACL, error) {
		acl, _, err := c.GetACL(root)
		return acl, err
	})

	var perms int32
	for _, entry := range acl {
		if err == nil && entry.Scheme == "world" {
			perms |= entry.Perms
		}
	}

	creates := perms&(zk.PermCreate|zk.PermAdmin) != 0
	deletes := perms&(zk.PermDelete|zk.PermAdmin) != 0
	switch {
	case creates && deletes:
		return "delete registrations and register false servers"
	case creates:
		return "register false servers"
	case deletes:
		return "delete registrations"
	}
	return ""
}

// An introduction tells ZooKeeper who we are, once on each connection that the
// session makes. From then on the library repeats it whenever it reconnects.
// It remembers nothing, though, when ZooKeeper didn't answer.
type introduction struct {
	scheme  string
	auth    []byte
	timeout time.Duration

	mu      sync.Mutex
	known   *zk.Conn  // the connection that has been told
	refused time.Time // when ZooKeeper last refused
}

// prepare is the session's Prepare. As long as it fails nothing else is sent:
// so the error, if it isn't ZooKeeper's refusal, is ErrNoSession.
func (i *introduction) prepare(conn *zk.Conn) error {
	i.mu.Lock()
	defer i.mu.Unlock()

	switch {
	case i.known == conn:
		return nil
	case time.Since(i.refused) < refusedPause:
		return i.refusal()
	case conn.State() != zk.StateHasSession: // lost while we waited for our turn: the library would wait for the next
		return ErrNoSession
	}

	done := make(chan error, 1)
	go func() { done <- conn.AddAuth(i.scheme, i.auth) }()

	select {
	case err := <-done:
		if errors.Is(err, zk.ErrAuthFailed) {
			i.refused = time.Now()
			return i.refusal()
		}
		if err != nil {
			return fmt.Errorf("%w: lost while we introduced ourselves: %v", ErrNoSession, err)
		}
	case <-time.After(i.timeout):
		return fmt.Errorf("%w: no answer when we introduced ourselves", ErrNoSession)
	}

	i.known = conn
	return nil
}

func (i *introduction) refusal() error {
	return fmt.Errorf("ZooKeeper doesn't take %s credentials: %w", i.scheme, zk.ErrAuthFailed)
}
