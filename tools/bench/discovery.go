// The discovery benchmark: how fast servers and clients come to know of each
// other through a real ZooKeeper, and what that costs. This file is the
// running order; discovery_servers.go measures what happens to servers,
// discovery_fanout.go what a change costs when there are many of them and many
// clients; the rest is what both need.

//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DiscoveryOptions say what MeasureDiscovery does.
type DiscoveryOptions struct {
	Server   string // path of final's server program, built without the race detector
	Rounds   int    // of each measurement, at least 1
	Clients  int    // that watch a server stop
	Servers  int    // registered in the measurements of many servers
	Watchers []int  // how many clients watch in those of many clients, ascending
	// Progress is called with what is measured next.
	Progress func(what string)
}

// A DiscoveryReport is what was measured.
type DiscoveryReport struct {
	Figures []Figure
	Delays  []WatchDelay
}

// A WatchDelay is how long it takes until clients know of a change in a list.
type WatchDelay struct {
	Servers, Clients  int
	Median, P99, Last float64 // milliseconds; Last is the median over the rounds of the last client's delay
}

// discoveryWait bounds every single wait; none of them takes a second on an idle
// machine.
const discoveryWait = 30 * time.Second

// MeasureDiscovery starts a ZooKeeper and servers, measures, and ends all of
// them, also when ctx ends first. It blocks for about a minute with 10 rounds,
// 1,000 servers and 200 clients.
func MeasureDiscovery(ctx context.Context, o DiscoveryOptions) (report *DiscoveryReport, err error) {
	bed, err := newTestbed(ctx, o.Server)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := bed.close(); err == nil {
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
	report = &DiscoveryReport{}
	for _, part := range []struct {
		what    string
		measure func(context.Context, *testbed, DiscoveryOptions, *DiscoveryReport) error
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

// DelayPlot draws the watch delay over the number of clients.
func (r *DiscoveryReport) DelayPlot() Plot {
	p := Plot{Title: "Until clients know of a change", XLabel: "clients that watch", YLabel: "delay, ms", LogX: true, LogY: true}
	byName := make(map[string]int) // the place of each series
	add := func(name string, clients int, ms float64) {
		if _, ok := byName[name]; !ok {
			byName[name] = len(p.Series)
			p.Series = append(p.Series, Series{Name: name})
		}
		s := &p.Series[byName[name]]
		s.Points = append(s.Points, Point{X: float64(clients), Y: ms})
	}
	for _, d := range r.Delays {
		add(fmt.Sprintf("%s servers, median", withComma(d.Servers)), d.Clients, d.Median)
		add(fmt.Sprintf("%s servers, last", withComma(d.Servers)), d.Clients, d.Last)
	}
	return p
}

// milliseconds returns a length of time as a figure.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
