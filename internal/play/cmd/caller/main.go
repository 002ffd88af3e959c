// Caller is the client of make play: the workbook's own client, which makes
// calls all the time and says on standard output what it sees, a line of JSON
// each time. On standard input it reads lines of JSON, too: how much to call.
// It ends with its standard input.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/play/load"
)

func main() {
	flags := flag.NewFlagSet("caller", flag.ExitOnError)
	zookeeper := rpc.NewZKFlags(flags)
	rpc.ParseArgs(flags, os.Args[1:])
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	out := &output{encoder: json.NewEncoder(os.Stdout)}
	discovery := list{rpc.NewZKDiscovery(zookeeper.Open(), *zookeeper.Root), out}
	client := rpc.NewClient(discovery)
	defer client.Close()

	calls := load.New(caller{client})
	go func() {
		defer stop()
		if err := obey(calls); err != nil {
			fmt.Fprintln(os.Stderr, "caller:", err)
		}
	}()
	if client.Wait(ctx, 1) != nil {
		return // told to end before there was a server
	}
	calls.Run(ctx, func(r load.Report) { out.say(load.Line{Report: &r, Servers: servers(client)}) })
}

// obey reads settings until the input ends.
func obey(calls *load.Load) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var settings load.Settings
		if err := json.Unmarshal(lines.Bytes(), &settings); err != nil {
			return fmt.Errorf("read the settings %q: %w", lines.Text(), err)
		}
		calls.Set(settings)
	}
	return lines.Err()
}

// servers is what the client knows of its servers.
func servers(client *rpc.Client) (all []load.Server) {
	for _, s := range client.Stats() {
		all = append(all, load.Server{Addr: s.Addr, Outstanding: s.Outstanding, SetAside: s.SetAside})
	}
	return all
}

// A caller makes calls with the client.
type caller struct{ client *rpc.Client }

func (c caller) Call(ctx context.Context, _ int, method string, params any) (json.RawMessage, string, error) {
	if err := c.client.Wait(ctx, 0); err != nil { // the first list is no call's business
		return nil, "", err
	}
	reply, server, err := c.client.Call(ctx, method, params)
	return reply.Result, server, err
}

// A list says what it finds.
type list struct {
	source rpc.Discovery
	out    *output
}

// Watch implements rpc.Discovery.
func (l list) Watch(ctx context.Context, publish func(rpc.Snapshot)) {
	l.source.Watch(ctx, func(s rpc.Snapshot) {
		l.out.say(load.Line{List: &load.List{Servers: s.Servers, Stale: s.Stale}})
		publish(s)
	})
}

// An output is standard output, for one line at a time.
type output struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

// say prints a line. Who doesn't read it any more has ended, and ends us.
func (o *output) say(line load.Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.encoder.Encode(line)
}
