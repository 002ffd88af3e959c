// The whole system: servers that register, and a client that finds them and
// moves its calls as they come and go. call, list and znodes look at the parts:
// at one server, at the list of servers, and at what is registered.

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
	"strings"
	"syscall"
	"time"
)

// noticeTime is how long the workers serve on after the znode is gone, for
// clients to notice.
const noticeTime = 100 * time.Millisecond

func main() {
	commands := map[string]func(flags *flag.FlagSet, args []string) error{
		"server": server, "client": client, "call": RunCall, "list": RunList, "znodes": znodes,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: step6-client-watch server|client|call|list|znodes …\n"+
			"  server HOST PORT               serve, and register in ZooKeeper\n"+
			"  client                         call the servers that are registered\n"+
			"  call HOST PORT METHOD PARAMS   call one server, many times at once\n"+
			"  list                           show the servers that a client finds, and every change\n"+
			"  znodes                         show what is registered, and every change")
		os.Exit(2)
	}

	flags := flag.NewFlagSet("step6-client-watch "+os.Args[1], flag.ExitOnError)
	if err := commands[os.Args[1]](flags, os.Args[2:]); err != nil {
		fmt.Fprintln(Stderr, "step6-client-watch:", err)
		if errors.Is(err, ErrNeverReady) {
			Exit(3)
		}
		Exit(1)
	}
	Exit(0)
}

// server serves at HOST PORT, and is registered while its workers do.
func server(flags *flag.FlagSet, args []string) error {
	isWorker := IsWorker()
	DetachOutput()

	verbose := flags.Bool("v", false, "log every call")
	workers := flags.Int("workers", DefaultWorkers(), "number of worker processes")
	grace := flags.Duration("grace", 5*time.Second, "time for workers to finish what they have when told to end")
	advertise := flags.String("advertise", "",
		"the `host` to register, when clients cannot use HOST")
	zookeeper := NewZKFlags(flags)
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

	session := zookeeper.Open()
	stop := StopSignals(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // before anything is started
	listener, addr, err := Listen(pos[0], pos[1])
	if err != nil {
		return err
	}
	fmt.Fprintln(Stdout, "listening on", addr)

	registrar := NewRegistrar(session, *zookeeper.Root, Endpoint{Host: host, Port: addr.Port})
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

// client makes rounds of calls, balanced over the servers that are registered.
func client(flags *flag.FlagSet, args []string) error {
	calls := NewRoundsFlags(flags)
	zookeeper := NewZKFlags(flags)
	ParseArgs(flags, args)
	rounds := calls.Rounds()

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second one ends the program, even if nobody reads what it prints
	discovery := NewZKDiscovery(zookeeper.Open(), *zookeeper.Root)
	c := NewClient(discovery)
	defer c.Close()

	err := rounds.Run(ctx, c)
	if !errors.Is(err, ErrNoServer) && !errors.Is(err, ErrNoList) {
		return err
	}
	err = fmt.Errorf("%w under %s in ZooKeeper at %s", err, *zookeeper.Root, *zookeeper.Hosts)
	if why := discovery.Err(); why != nil {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return err
}
