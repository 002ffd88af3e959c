// The flags of everything that talks to ZooKeeper.

package rpc

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// minSession is the least that -session may be.
const minSession = time.Second

// ZKFlags are the flags -zk, -root, -session and -zk-auth.
type ZKFlags struct {
	Hosts   *string        // "host:port,host:port"
	Root    *string        // the znode under which servers register
	Session *time.Duration // the session timeout
	flags   *flag.FlagSet
	auth    *secret
}

// A secret is the text of credentials and where it was given, "" for nowhere.
// It is never shown. As the default of a flag it would be, by -h.
type secret struct{ text, where string }

// NewZKFlags adds the flags to a set. It takes $ZK_AUTH out of this process's
// environment, so that programs started by it, workers for example, don't get
// to know it.
func NewZKFlags(flags *flag.FlagSet) ZKFlags {
	hosts := os.Getenv("ZK_HOSTS")
	if hosts == "" {
		hosts = "127.0.0.1:2181"
	}

	auth := &secret{text: os.Getenv("ZK_AUTH")}
	if auth.text != "" {
		auth.where = "$ZK_AUTH"
	}
	os.Unsetenv("ZK_AUTH")
	flags.Func("zk-auth", "credentials for ZooKeeper, `user:password`; "+
		"better in $ZK_AUTH: others on this machine can see the command line",
		func(text string) error {
			*auth = secret{text, "-zk-auth"}
			return nil
		})

	return ZKFlags{
		Hosts: flags.String("zk", hosts, "ZooKeeper's addresses, `host:port,host:port`; also $ZK_HOSTS"),
		Root:  flags.String("root", "/demo", "the `znode` under which servers register"),
		Session: flags.Duration("session", 6*time.Second,
			"session timeout: how long a dead server stays registered; a stock ZooKeeper grants from 4s to 40s"),
		flags: flags,
		auth:  auth,
	}
}

// Open starts a session, once the flags have been parsed, with the credentials
// if there are any. It ends the program with exit code 2 and a message when one
// of the flags is wrong.
func (z ZKFlags) Open() *Session {
	session, _ := z.open()
	return session
}

// Register starts a session, as Open does, and returns a Registrar of the
// endpoint, whose znodes are protected if there are credentials.
func (z ZKFlags) Register(endpoint Endpoint) *Registrar {
	session, credentials := z.open()
	r := NewRegistrar(session, *z.Root, endpoint)
	if credentials != nil {
		credentials.Protect(r)
	}
	return r
}

func (z ZKFlags) open() (*Session, *Credentials) {
	credentials := z.credentials()
	if err := CheckRoot(*z.Root); err != nil {
		UsageError(z.flags, "-root: %v", err)
	}
	if *z.Session < minSession {
		UsageError(z.flags, "-session must be at least %v, not %v", minSession, *z.Session)
	}
	session, err := NewSession(*z.Hosts, *z.Session)
	if err != nil {
		UsageError(z.flags, "-zk: %v", err)
	}

	if credentials != nil {
		credentials.Use(session)
	}
	return session, credentials
}

// credentials returns what -zk-auth or $ZK_AUTH says, nil for nothing.
func (z ZKFlags) credentials() *Credentials {
	if z.auth.where == "" {
		return nil
	}
	credentials, err := ParseCredentials(z.auth.text)
	if err != nil {
		UsageError(z.flags, "%s: %v", z.auth.where, err)
	}
	return credentials
}

// Explain adds to an error what the flags have to do with it: which
// credentials, if any, were not enough.
func (z ZKFlags) Explain(err error) error {
	switch {
	case !errors.Is(err, zk.ErrNoAuth):
		return err
	case z.auth.where == "":
		return fmt.Errorf("%w: the ACL asks for credentials, see -zk-auth", err)
	}
	return fmt.Errorf("%w: the ACL asks for other credentials than those of %s", err, z.auth.where)
}

// CheckRoot returns an error unless root can be the parent of registrations.
func CheckRoot(root string) error {
	names, absolute := strings.CutPrefix(root, "/")
	isNoName := func(name string) bool { return name == "" || name == "." || name == ".." }
	if !absolute || slices.ContainsFunc(strings.Split(names, "/"), isNoName) {
		return fmt.Errorf("%q is not an absolute path such as /demo", root)
	}
	return nil
}
