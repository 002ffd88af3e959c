// Command lines of final's commands: the flags of everything that talks to
// ZooKeeper, and help that teaches.

package rpc

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

// Teach prints what a command is about, if its command line asks for help.
// Call it before ParseArgs, which prints the flags then.
func Teach(about string) {
	asksHelp := func(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }
	if slices.ContainsFunc(os.Args[1:], asksHelp) {
		fmt.Fprintln(os.Stderr, about)
	}
}

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
		Hosts:   flags.String("zk", hosts, "ZooKeeper's addresses, `host:port,host:port`; also $ZK_HOSTS"),
		Root:    flags.String("root", "/demo", "the `znode` under which servers register"),
		Session: flags.Duration("session", 6*time.Second, "session timeout: how long a dead server stays registered"),
		flags:   flags,
	}
}

// Open starts a session. It ends the program with exit code 2 and a message
// when a flag is wrong.
func (z ZKFlags) Open() *Session {
	if err := CheckRoot(*z.Root); err != nil {
		UsageError(z.flags, "-root: %v", err)
	}
	if *z.Session < time.Second {
		UsageError(z.flags, "-session must be at least 1s, not %v", *z.Session)
	}
	session, err := NewSession(*z.Hosts, *z.Session)
	if err != nil {
		UsageError(z.flags, "-zk: %v", err)
	}
	return session
}
