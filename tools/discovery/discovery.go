//go:build linux

// Package discovery measures how fast servers and clients come to know of each
// other through a real ZooKeeper, and what that costs. `make bench-discovery`
// runs it.
//
// This file is the running order: servers.go measures what happens to servers,
// fanout.go what a change costs when there are many of them and many clients;
// the rest is what both need.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Options say what Measure does.
type Options struct {
	Server   string // path of final's server program, built without the race detector
	Rounds   int    // of each measurement, at least 1
	Clients  int    // that watch a server stop
	Servers  int    // registered in the measurements of many servers
	Watchers []int  // how many clients watch in those of many clients, ascending
	// Progress is called with what is measured next.
	Progress func(what string)
}

// maxWait bounds every single wait; none of them takes a second on an idle
// machine.
const maxWait = 30 * time.Second

// Measure starts a ZooKeeper and servers, measures, and ends all of
// them, also when ctx ends first. It blocks for about a minute with 10 rounds,
// 1,000 servers and 200 clients.
func Measure(ctx context.Context, o Options) (report *Report, err error) {
	bed, err := newTestbed(ctx, o.Server)
	if err != nil {
		return nil, err
	}
	defer func() {
		closeErr := bed.close()
		if err == nil {
			err = closeErr
		}
	}()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	zookeeperEnded := bed.zookeeper.Done()
	go func() {
		select {
		case <-zookeeperEnded:
			cancel(errors.New("ZooKeeper has ended"))
		case <-ctx.Done():
		}
	}()
	report = &Report{}
	for _, part := range []struct {
		what    string
		measure func(context.Context, *testbed, Options, *Report) error
	}{
		{"start-up", measureStartUp},
		{"graceful stop", measureStop},
		{"joining", measureJoin},
		{"a server's death", measureKill},
		{"rolling restart", measureRollingRestart},
		{"watch delay, few servers", measureFewServers},
		{"watch delay, many servers", measureManyServers},
	} {
		o.Progress(part.what)
		if err := part.measure(ctx, bed, o, report); err != nil {
			return nil, fmt.Errorf("measure %s: %w", part.what, err)
		}
	}
	return report, nil
}

// milliseconds returns a length of time as a figure.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
