// The flags of everything that talks to ZooKeeper.

package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// minSession is the least that -session may be.
const minSession = time.Second

// ZKFlags are the flags -zk, -root and -session.
type ZKFlags struct {
	Hosts   *string        // "host:port,host:port"
	Root    *string        // the znode under which servers register
	Session *time.Duration // the session timeout
	flags   *flag.FlagSet
}

// NewZKFlags adds the flags to a set.
func NewZKFlags(flags *flag.FlagSet) ZKFlags {
	hosts := os.Getenv("ZK_HOSTS")
	if hosts == "" {
		hosts = "127.0.0.1:2181"
	}
	return ZKFlags{
		Hosts: flags.String("zk", hosts, "ZooKeeper's addresses, `host:port,host:port`; also $ZK_HOSTS"),
		Root:  flags.String("root", "/demo", "the `znode` under which servers register"),
		Session: flags.Duration("session", 6*time.Second,
			"session timeout: how long a dead server stays registered; a stock ZooKeeper grants from 4s to 40s"),
		flags: flags,
	}
}

// Open starts a session, once the flags have been parsed. It ends the program
// with exit code 2 and a message when one of them is wrong.
func (z ZKFlags) Open() *Session {
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
	return session
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
