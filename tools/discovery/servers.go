// The first part: what happens to one server or three.
//
// A server counts as ready when a worker has answered a ping on a connection
// that had been waiting at the port since this was open: before, nobody could
// have been answered.

//go:build linux

package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/rpcworkbook/tools/figures"
)

const (
	fewServers    = 10 // registered beside the one that comes and goes
	serverWorkers = 2  // per server
	killCallers   = 8  // clients of one caller each, when a server is killed
)

// measureStartUp starts servers of 10 workers, and of 1 to compare.
func measureStartUp(ctx context.Context, bed *testbed, o Options, r *Report) error {
	addr, release, err := reservePort()
	if err != nil {
		return err
	}
	defer release()

	for _, f := range []struct {
		workers int
		Figure
	}{
		{10, Figure{
			What:   "start-up of a server with 10 workers: from exec to all ready",
			Target: "< 200 ms", Most: 200,
		}},
		{1, Figure{What: "start-up of a server with 1 worker"}},
	} {
		f.Unit = "ms"
		for range o.Rounds {
			s, err := bed.startServer(addr, "/startup", f.workers)
			if err != nil {
				return err
			}
			ready, err := s.waitReady(ctx)
			if err != nil {
				return err
			}

			f.Values = append(f.Values, milliseconds(ready.Sub(s.started)))
			if err := s.stop(ctx); err != nil {
				return err
			}
		}
		r.Figures = append(r.Figures, f.Figure)
	}
	return nil
}

// stop tells the server to end and waits for that.
func (s *server) stop(ctx context.Context) error {
	if _, err := s.terminate(); err != nil {
		return err
	}
	return s.wait(ctx)
}

// measureStop stops a server that o.Clients clients know of, in a small list.
func measureStop(ctx context.Context, bed *testbed, o Options, r *Report) error {
	const root = "/stop"
	p, err := newPlanter(ctx, bed.zookeeper.Addr(), root)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.plantMany(fewServers); err != nil {
		return err
	}

	f := &fleet{zk: bed.zookeeper.Addr(), root: root}
	defer f.close()
	if err := f.grow(ctx, o.Clients, fewServers); err != nil {
		return err
	}

	stop, start, err := stopStart(ctx, bed, f, o.Rounds)
	if err != nil {
		return err
	}

	r.Figures = append(r.Figures,
		Figure{What: fmt.Sprintf("graceful stop: from SIGTERM until a client knows, %d clients", o.Clients),
			Unit: "ms", Values: stop.delays, Target: "p99 < 50 ms", Most: 50},
		Figure{What: fmt.Sprintf("start: from ready until a client knows, %d clients", o.Clients),
			Unit: "ms", Values: start.delays})
	return nil
}

// trio starts three servers and clients that call them. Call done in any case.
func trio(ctx context.Context, bed *testbed, root string, clients, callers int) (
	servers []*server, t *traffic, done func() error, err error,
) {
	var releases []func()
	done = func() error {
		if t != nil {
			t.end()
		}
		var errs []error
		for _, s := range servers {
			errs = append(errs, s.kill())
		}
		for _, release := range releases {
			release()
		}
		return errors.Join(errs...)
	}

	for range 3 {
		addr, release, err := reservePort()
		if err != nil {
			return servers, nil, done, err
		}
		releases = append(releases, release)

		s, err := bed.startServer(addr, root, serverWorkers)
		if err != nil {
			return servers, nil, done, err
		}
		servers = append(servers, s)
	}

	t, err = startTraffic(ctx, bed.zookeeper.Addr(), root, clients, callers, len(servers))
	return servers, t, done, err
}

// measureJoin lets a third server join two that are called all the time.
func measureJoin(ctx context.Context, bed *testbed, o Options, r *Report) (err error) {
	servers, t, done, err := trio(ctx, bed, "/join", 4, 1)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return err
	}

	f := Figure{
		What: "a joining server: from ready to the first call that it answers",
		Unit: "ms", Target: "< 50 ms", Most: 50,
	}
	for range o.Rounds {
		if err := servers[2].stop(ctx); err != nil {
			return err
		}
		servers[2], err = bed.startServer(servers[2].addr, "/join", serverWorkers)
		if err != nil {
			return err
		}

		ready, err := servers[2].firstPong(ctx)
		if err != nil {
			return err
		}
		first, err := t.await(ctx, servers[2].started, false, answeredBy(servers[2].addr))
		if err != nil {
			return err
		}
		f.Values = append(f.Values, delaysSince(ready, []time.Time{first.ended})...)
	}
	r.Figures = append(r.Figures, f)
	return nil
}

// measureKill kills one of three servers, with all its processes, and waits
// until a call of each client was at it, or picked it when it was gone, and had
// to go elsewhere. ZooKeeper still lists it then, but no other call will pick
// it.
func measureKill(ctx context.Context, bed *testbed, o Options, r *Report) (err error) {
	servers, t, done, err := trio(ctx, bed, "/kill", killCallers, 1)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return err
	}

	if _, err := t.await(ctx, time.Time{}, true, answeredBy(servers[0].addr)); err != nil {
		return err
	}

	extra := Figure{
		What: "SIGKILL: what a call that picks the dead server takes longer",
		Unit: "ms", Target: "< 10 ms", Most: 10,
	}
	caught := Figure{What: "SIGKILL: the same, of calls begun before it was gone", Unit: "ms"}
	ordinary := Figure{What: "an ordinary call at that time", Unit: "ms"}
	lost := Figure{What: "failed calls, per SIGKILL", Target: "0"}

	for range o.Rounds {
		killed := time.Now()
		if err := servers[0].kill(); err != nil {
			return err
		}
		gone := time.Now()

		moved := func(c call) bool { return c.moved && c.ended.After(killed) }
		if _, err := t.await(ctx, killed.Add(-callTime), true, moved); err != nil {
			return err
		}

		var before, after, others []float64
		calls := slices.DeleteFunc(t.since(killed.Add(-callTime)), func(c call) bool { return c.ended.Before(killed) })
		for _, c := range calls {
			switch took := milliseconds(c.took()); {
			case !c.moved:
				others = append(others, took)
			case c.began.Before(gone):
				before = append(before, took)
			default:
				after = append(after, took)
			}
		}

		usual := figures.SpreadOf(others).Median
		extra.Values = append(extra.Values, beyond(usual, after)...)
		caught.Values = append(caught.Values, beyond(usual, before)...)
		ordinary.Values = append(ordinary.Values, others...)
		n, _ := failedCalls(calls)
		lost.Values = append(lost.Values, float64(n))

		servers[0], err = bed.startServer(servers[0].addr, "/kill", serverWorkers)
		if err != nil {
			return err
		}
		if _, err := t.await(ctx, servers[0].started, true, answeredBy(servers[0].addr)); err != nil {
			return err
		}
	}

	r.Figures = append(r.Figures, extra, caught, ordinary, lost)
	return nil
}

// beyond returns by how much the values exceed the usual one.
func beyond(usual float64, values []float64) (more []float64) {
	for _, v := range values {
		more = append(more, max(0, v-usual))
	}
	return more
}

// measureRollingRestart restarts three servers one after another while clients
// call: each as soon as the one before has answered again.
func measureRollingRestart(ctx context.Context, bed *testbed, o Options, r *Report) (err error) {
	servers, t, done, err := trio(ctx, bed, "/rolling", 2, 4)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return err
	}

	lost := Figure{What: "failed calls, per rolling restart of 3 servers", Target: "0"}
	made := Figure{What: "calls made meanwhile"}
	slowest := Figure{What: "the slowest of them", Unit: "ms"}

	for range (o.Rounds + 2) / 3 {
		since := time.Now()
		for i, s := range servers {
			if err := s.stop(ctx); err != nil {
				return err
			}
			servers[i], err = bed.startServer(s.addr, "/rolling", serverWorkers)
			if err != nil {
				return err
			}
			if _, err := t.await(ctx, servers[i].started, false, answeredBy(s.addr)); err != nil {
				return err
			}
		}

		calls := t.since(since)
		n, failure := failedCalls(calls)
		if n > 0 {
			o.Progress(fmt.Sprintf("a call failed %v", failure))
		}

		var worst time.Duration
		for _, c := range calls {
			worst = max(worst, c.took())
		}

		lost.Values = append(lost.Values, float64(n))
		made.Values = append(made.Values, float64(len(calls)))
		slowest.Values = append(slowest.Values, milliseconds(worst))
	}
	r.Figures = append(r.Figures, lost, made, slowest)
	return nil
}
