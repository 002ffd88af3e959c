// A server that can be found: the master registers it in ZooKeeper while its
// workers serve. znodes shows what is registered.

//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
)

// noticeTime is how long the workers serve on after the znode is gone, for
// clients to notice.
const noticeTime = 100 * time.Millisecond

func main() {
	isWorker := IsWorker()
	commands := map[string]func(flags *flag.FlagSet, args []string, isWorker bool) error{
		"server": server, "znodes": znodes,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: step5-discovery server|znodes …\n"+
			"  server HOST PORT   serve, and register in ZooKeeper\n"+
			"  znodes             show what is registered, and every change")
		os.Exit(2)
	}
	flags := flag.NewFlagSet("step5-discovery "+os.Args[1], flag.ExitOnError)
	if err := commands[os.Args[1]](flags, os.Args[2:], isWorker); err != nil {
		fmt.Fprintln(Stderr, "step5-discovery:", err)
		if errors.Is(err, ErrNeverReady) {
			Exit(3)
		}
		Exit(1)
	}
	Exit(0)
}

// zkFlags are the flags of everything that talks to ZooKeeper.
type zkFlags struct {
	hosts, root *string
	session     *time.Duration
}

func newZKFlags(flags *flag.FlagSet) zkFlags {
	hosts := os.Getenv("ZK_HOSTS")
	if hosts == "" {
		hosts = "127.0.0.1:2181"
	}
	return zkFlags{
		hosts:   flags.String("zk", hosts, "ZooKeeper's addresses, `host:port,host:port`; also $ZK_HOSTS"),
		root:    flags.String("root", "/demo", "the znode under which servers register"),
		session: flags.Duration("session", 6*time.Second, "session timeout: how long a dead server stays registered; a stock ZooKeeper grants from 4s to 40s"),
	}
}

// open checks the flags and starts a session.
func (z zkFlags) open(flags *flag.FlagSet) *Session {
	if err := CheckRoot(*z.root); err != nil {
		UsageError(flags, "-root: %v", err)
	}
	if *z.session < time.Second {
		UsageError(flags, "-session must be at least 1s, not %v", *z.session)
	}
	session, err := NewSession(*z.hosts, *z.session)
	if err != nil {
		UsageError(flags, "-zk: %v", err)
	}
	return session
}

func server(flags *flag.FlagSet, args []string, isWorker bool) error {
	DetachOutput()
	verbose := flags.Bool("v", false, "log every call")
	workers := flags.Int("workers", DefaultWorkers(), "number of worker processes")
	grace := flags.Duration("grace", 5*time.Second, "time for workers to finish what they have when told to end")
	advertise := flags.String("advertise", "", "the `host` to register, if clients reach this server by another than HOST")
	zookeeper := newZKFlags(flags)
	pos := ParseArgs(flags, args, "HOST", "PORT")
	if *workers < 1 {
		UsageError(flags, "-workers must be at least 1, not %d", *workers)
	}
	if *grace < 0 {
		UsageError(flags, "-grace must not be negative: %v", *grace)
	}
	host, err := RegisterableHost(*advertise, pos[0])
	if err != nil {
		UsageError(flags, "%v", err)
	}
	if isWorker {
		return Work(NewService(), *verbose, *grace)
	}

	session := zookeeper.open(flags)
	stop := StopSignals(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // before anything is started
	listener, addr, err := Listen(pos[0], pos[1])
	if err != nil {
		return err
	}
	fmt.Fprintln(Stdout, "listening on", addr)
	registrar := NewRegistrar(session, *zookeeper.root, Endpoint{Host: host, Port: addr.Port})
	s := Supervisor{
		Workers: *workers,
		Grace:   *grace,
		OnStart: func(pids []int) {
			fmt.Fprintf(Stdout, "master %d, workers %s\n", os.Getpid(), strings.Trim(fmt.Sprint(pids), "[]"))
		},
		OnServing: registrar.SetServing,
		OnStop: func(ctx context.Context) {
			slog.Info("stopping")
			if registrar.Close(ctx) {
				time.Sleep(noticeTime)
			}
		},
	}
	return s.Run(listener, stop)
}

// znodes prints what is registered, again and again as it changes.
func znodes(flags *flag.FlagSet, args []string, _ bool) error {
	zookeeper := newZKFlags(flags)
	ParseArgs(flags, args)
	session := zookeeper.open(flags)
	defer session.Close(context.Background())
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second one ends the program, even if nobody reads what it prints
	began := time.Now()
	for last := ""; ; {
		type listing struct {
			text    string
			changed <-chan zk.Event
		}
		list, err := Do(session, func(c *zk.Conn) (listing, error) {
			names, _, changed, err := c.ChildrenW(*zookeeper.root)
			text := fmt.Sprintf("%d registered under %s\n", len(names), *zookeeper.root)
			slices.Sort(names)
			for _, name := range names {
				data, stat, err := c.Get(*zookeeper.root + "/" + name)
				if err != nil {
					continue // it has just gone
				}
				addr, err := ParseEndpoint(data)
				if err != nil {
					addr = err.Error()
				}
				text += fmt.Sprintf("  %s  %s  session 0x%x\n", name, addr, stat.EphemeralOwner)
			}
			return listing{text, changed}, err
		})
		var retry <-chan time.Time
		noSession := errors.Is(err, ErrNoSession)
		connecting := noSession && time.Since(began) < time.Second
		if errors.Is(err, zk.ErrNoNode) {
			err = errors.New("no server has ever registered under " + *zookeeper.root)
		}
		if err != nil {
			list.text, retry = fmt.Sprintln("no list:", err), time.After(time.Second)
		}
		toldAlready := noSession && strings.HasPrefix(last, "no list: "+ErrNoSession.Error()) // if perhaps another reason
		if list.text != last && !connecting && !toldAlready {
			fmt.Print(time.Now().Format(time.TimeOnly), "  ", list.text)
			last = list.text
		}
		select {
		case <-list.changed:
		case <-session.Changed():
		case <-retry:
		case <-ctx.Done():
			return nil
		}
	}
}
