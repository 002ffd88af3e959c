// The second part: what one change costs when there are many servers, many
// clients, or both.

//go:build linux

package discovery

import (
	"context"
	"fmt"
	"time"

	"example.com/rpcworkbook/tools/figures"
)

// countedClients is how many clients' requests are counted.
const countedClients = 10

// measureFewServers measures the watch delay in a short list.
func measureFewServers(ctx context.Context, bed *testbed, o Options, r *Report) error {
	p, err := newPlanter(ctx, bed.zookeeper.Addr(), "/few")
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.plantMany(fewServers); err != nil {
		return err
	}
	f := &fleet{zk: bed.zookeeper.Addr(), root: p.root}
	defer f.close()
	return measureDelays(ctx, f, p, fewServers, o, r)
}

// measureManyServers measures what o.Servers registered ones cost.
func measureManyServers(ctx context.Context, bed *testbed, o Options, r *Report) error {
	p, err := newPlanter(ctx, bed.zookeeper.Addr(), "/many")
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.plantMany(o.Servers); err != nil {
		return err
	}

	if err := measureColdStart(ctx, bed, p, o, r); err != nil {
		return fmt.Errorf("cold start: %w", err)
	}
	if err := measureRequests(ctx, bed, p, o, r); err != nil {
		return fmt.Errorf("requests: %w", err)
	}

	f := &fleet{zk: bed.zookeeper.Addr(), root: p.root}
	defer f.close()
	if err := measureDelays(ctx, f, p, o.Servers, o, r); err != nil {
		return err
	}

	stop, start, err := stopStart(ctx, bed, f, o.Rounds)
	if err != nil {
		return fmt.Errorf("stop and start: %w", err)
	}
	for _, e := range []struct {
		what string
		listEvent
	}{{"stop", stop}, {"start", start}} {
		which := fmt.Sprintf("%s of 1 server of %s, %d clients: ", e.what, figures.Grouped(o.Servers), len(f.watchers))
		r.Figures = append(r.Figures,
			Figure{What: which + "until the last knows", Unit: "ms", Values: e.last},
			Figure{What: which + "ZooKeeper's CPU", Unit: "ms", Values: e.zkCPU},
			Figure{What: which + "all clients' CPU", Unit: "ms", Values: e.myCPU})
	}
	return nil
}

// measureColdStart starts clients, first one after another and then all at
// once, from no connection until they know all servers.
func measureColdStart(ctx context.Context, bed *testbed, p *planter, o Options, r *Report) error {
	one := Figure{
		What: fmt.Sprintf("cold start of a client: from nothing to all %s servers", figures.Grouped(o.Servers)),
		Unit: "ms", Target: "< 1 s", Most: 1000,
	}
	crowd := Figure{
		What: fmt.Sprintf("cold start of %d clients at once: until the last knows all", o.Clients),
		Unit: "ms",
	}

	start := func(clients int, figure *Figure) error {
		f := &fleet{zk: bed.zookeeper.Addr(), root: p.root}
		defer f.close()

		began := time.Now()
		err := f.grow(ctx, clients, o.Servers)
		figure.Values = append(figure.Values, milliseconds(time.Since(began)))
		return err
	}

	for range o.Rounds {
		if err := start(1, &one); err != nil {
			return err
		}
	}

	for range (o.Rounds + 2) / 3 {
		if err := start(o.Clients, &crowd); err != nil {
			return err
		}
	}

	r.Figures = append(r.Figures, one, crowd)
	return nil
}

// measureRequests counts what some clients ask when one server joins or
// leaves. What one asked too late for the one count is in the next one.
func measureRequests(ctx context.Context, bed *testbed, p *planter, o Options, r *Report) error {
	t, err := newTurnstile(bed.zookeeper.Addr())
	if err != nil {
		return err
	}
	defer t.close()

	f := &fleet{zk: t.addr(), root: p.root}
	defer f.close()
	if err := f.grow(ctx, countedClients, o.Servers); err != nil {
		return err
	}

	which := fmt.Sprintf("1 of %s servers ", figures.Grouped(o.Servers))
	requests := []Figure{
		{What: which + "joins: lists read by each client", Target: "1", Most: 1},
		{What: which + "joins: znodes read by each client", Target: "1", Most: 1},
		{What: which + "leaves: lists read by each client", Target: "1", Most: 1},
		{What: which + "leaves: znodes read by each client", Target: "0"},
	}

	count := func(i int) {
		requests[i].Values = append(requests[i].Values, float64(t.lists.Swap(0))/countedClients)
		requests[i+1].Values = append(requests[i+1].Values, float64(t.gets.Swap(0))/countedClients)
	}

	t.lists.Store(0)
	t.gets.Store(0)
	for range o.Rounds {
		err := comeAndGo(ctx, f, p, o.Servers+1, func(_ time.Time, _ []time.Time, joined bool) {
			if joined {
				count(0)
			} else {
				count(2)
			}
		})
		if err != nil {
			return err
		}
	}

	if n := t.others.Load(); n > 0 {
		o.Progress(fmt.Sprintf("the clients also sent %d requests that are neither lists nor gets", n))
	}
	r.Figures = append(r.Figures, requests...)
	return nil
}

// comeAndGo lets a server join and leave, and says after each when it was and
// when each client knew.
func comeAndGo(
	ctx context.Context, f *fleet, p *planter, port int,
	known func(since time.Time, times []time.Time, joined bool),
) error {
	since := time.Now()
	addr, path, err := p.plant(port)
	if err != nil {
		return err
	}
	times, err := f.await(ctx, since, lists(addr))
	if err != nil {
		return err
	}
	known(since, times, true)

	since = time.Now()
	if err := p.remove(path); err != nil {
		return err
	}
	times, err = f.await(ctx, since, lacks(addr))
	if err != nil {
		return err
	}
	known(since, times, false)
	return nil
}

// measureDelays measures the watch delay with more and more clients.
func measureDelays(ctx context.Context, f *fleet, p *planter, servers int, o Options, r *Report) error {
	for _, clients := range o.Watchers {
		if err := f.grow(ctx, clients, servers); err != nil {
			return err
		}

		var all, last []float64
		for range o.Rounds {
			err := comeAndGo(ctx, f, p, servers+1, func(since time.Time, times []time.Time, _ bool) {
				d := delaysSince(since, times)
				all, last = append(all, d...), append(last, figures.NearestRank(d, 100))
			})
			if err != nil {
				return err
			}
		}

		r.Delays = append(r.Delays, WatchDelay{
			Servers: servers, Clients: clients,
			Median: figures.SpreadOf(all).Median,
			P99:    figures.NearestRank(all, 99),
			Last:   figures.SpreadOf(last).Median,
		})
	}
	return nil
}
