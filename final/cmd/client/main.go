// The client: it finds the servers in ZooKeeper and calls ping and pi, again
// and again, at a random one each time. Answers go to standard output, all
// else to standard error.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	rpc "example.com/rpcworkbook/final"
)

const about = `client finds servers in ZooKeeper and calls ping and pi at them, one round of
both every half second, each call at a random server. It prints a line per
answer and, at the end or at Ctrl-C, a summary:

  127.0.0.1:8080 pong ireader 93
  127.0.0.1:8080 pi_r 3.1382045832

Servers may come, go and crash meanwhile: a call that one of them fails moves to
another. Without any server the client ends; -wait has it wait for one. It needs
credentials for ZooKeeper only where not everyone may read the list.

Exit codes: 0 done or interrupted, 1 no live server or no list of them, 2 wrong usage.
`

func main() {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	rounds := flags.Int("n", 100, "number of rounds, of one ping and one pi each")
	interval := flags.Duration("interval", 500*time.Millisecond, "pause between rounds")
	wait := flags.Duration("wait", 0, "how long to wait for a server when there is none")
	timeout := flags.Duration("timeout", 5*time.Second, "time for one call, including its move to another server")
	zookeeper := rpc.NewZKFlags(flags)
	rpc.Teach(about)
	rpc.ParseArgs(flags, os.Args[1:])
	if *rounds < 1 || *interval < 0 || *wait < 0 || *timeout <= 0 {
		rpc.UsageError(flags, "-n must be at least 1, -timeout more than 0, and neither -interval nor -wait negative")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	discovery := rpc.NewZKDiscovery(zookeeper.Open(), *zookeeper.Root)
	client := rpc.NewClient(discovery)
	defer client.Close()
	r := run{client: client, wait: *wait, timeout: *timeout, began: time.Now(), answered: make(map[string]int)}
	err := r.awaitServer(ctx)
	if err == nil {
		err = r.rounds(ctx, *rounds, *interval)
	}
	if r.calls() > 0 || ctx.Err() != nil {
		r.summary()
	}
	if err != nil && ctx.Err() == nil {
		why := ""
		if err := discovery.Err(); err != nil {
			why = fmt.Sprintf(": %v", zookeeper.Explain(err))
		}
		fmt.Fprintf(os.Stderr, "client: %v under %s in ZooKeeper at %s%s\n", err, *zookeeper.Root, *zookeeper.Hosts, why)
		os.Exit(1)
	}
}

// run is one run of the client, and its score.
type run struct {
	client        *rpc.Client
	wait, timeout time.Duration
	began         time.Time
	failed        int
	answered      map[string]int // calls by server
}

// rounds makes the calls. It returns an error when there is no server any
// more, or ctx ends.
func (r *run) rounds(ctx context.Context, n int, interval time.Duration) error {
	for i := range n {
		if i > 0 {
			select {
			case <-time.After(interval):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := r.call(ctx, "ping", "ireader "+strconv.Itoa(i)); err != nil {
			return err
		}
		if err := r.call(ctx, "pi", i); err != nil {
			return err
		}
	}
	return nil
}

// call makes one call and prints the answer. A failed call counts and is no
// error; that there is no server is.
func (r *run) call(ctx context.Context, method string, params any) error {
	callCtx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	reply, server, err := r.client.Call(callCtx, method, params)
	switch {
	case err == nil:
		r.answered[server]++
		fmt.Println(server, reply.Kind, show(reply.Result))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	r.failed++
	text, _ := json.Marshal(params)
	fmt.Fprintf(os.Stderr, "%s %s failed: %v\n", method, text, err)
	if errors.Is(err, rpc.ErrNoServer) {
		return r.awaitServer(ctx)
	}
	return nil
}

// awaitServer waits until the list of servers is known and, for as long as
// -wait says, until there is a server in it.
func (r *run) awaitServer(ctx context.Context) error {
	known, cancel := context.WithTimeout(ctx, max(r.wait, 5*time.Second))
	defer cancel()
	if r.client.Wait(known, 0) != nil {
		return errors.New("can't read the list of servers")
	}
	listed, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	if r.client.Wait(listed, 1) != nil {
		return rpc.ErrNoServer
	}
	return nil
}

// calls returns how many there have been.
func (r *run) calls() int {
	n := r.failed
	for _, answered := range r.answered {
		n += answered
	}
	return n
}

func (r *run) summary() {
	fmt.Printf("calls %d, failed %d, in %.1fs\n", r.calls(), r.failed, time.Since(r.began).Seconds())
	for _, server := range slices.Sorted(maps.Keys(r.answered)) {
		fmt.Printf("  %s  %d\n", server, r.answered[server])
	}
}

// show writes a result as the tutorial does: strings without quotes, numbers
// to twelve digits.
func show(result json.RawMessage) string {
	var value any
	if err := json.Unmarshal(result, &value); err != nil {
		return string(result)
	}
	if number, ok := value.(float64); ok {
		return fmt.Sprintf("%.12g", number)
	}
	return fmt.Sprint(value)
}
