// The events: a server stops or starts, and a fleet of
// clients comes to know it. Both parts of the benchmark measure that.

//go:build linux

package discovery

import (
	"context"
	"errors"
	"os"
	"time"

	"example.com/rpcworkbook/tools/figures"
	"example.com/rpcworkbook/tools/usage"
)

// A listEvent is what the same change, made several times, led to.
type listEvent struct {
	delays       []float64 // until each client knew, ms
	last         []float64 // until the last one knew, each time, ms
	zkCPU, myCPU []float64 // used meanwhile by ZooKeeper and by this process with its clients, each time, ms
}

// happen makes a change and waits until all clients know. Begin returns the
// moment from which it counts.
func (e *listEvent) happen(bed *testbed, begin func() (time.Time, error), know func(since time.Time) ([]time.Time, error)) error {
	pids := [2][]int{{bed.zookeeper.PID()}, {os.Getpid()}}
	var used [2]time.Duration // until now
	cpu := func() (spent [2]float64, err error) {
		for i := range pids {
			now, cpuErr := usage.CPUTime(pids[i])
			spent[i], used[i], err = milliseconds(now-used[i]), now, errors.Join(err, cpuErr)
		}
		return spent, err
	}
	if _, err := cpu(); err != nil {
		return err
	}
	since := time.Now()
	counts, err := begin()
	if err != nil {
		return err
	}
	times, err := know(since)
	if err != nil {
		return err
	}
	spent, err := cpu()
	if err != nil {
		return err
	}
	e.zkCPU, e.myCPU = append(e.zkCPU, spent[0]), append(e.myCPU, spent[1])
	d := delaysSince(counts, times)
	e.delays, e.last = append(e.delays, d...), append(e.last, figures.NearestRank(d, 100))
	return nil
}

// stopStart starts a server, unmeasured, and then stops and starts it in turn.
func stopStart(ctx context.Context, bed *testbed, f *fleet, rounds int) (stop, start listEvent, err error) {
	addr, release, err := reservePort()
	if err != nil {
		return stop, start, err
	}
	defer release()
	var s *server
	begin := func() (ready time.Time, err error) {
		if s, err = bed.startServer(addr, f.root, serverWorkers); err == nil {
			ready, err = s.firstPong(ctx)
		}
		return ready, err
	}
	know := func(since time.Time) ([]time.Time, error) { return f.await(ctx, since, lists(addr)) }
	forget := func(since time.Time) ([]time.Time, error) { return f.await(ctx, since, lacks(addr)) }
	if err := new(listEvent).happen(bed, begin, know); err != nil {
		return stop, start, err
	}
	for range rounds {
		if err = stop.happen(bed, func() (time.Time, error) { return s.terminate() }, forget); err != nil {
			break
		}
		if err = s.wait(ctx); err != nil {
			break
		}
		if err = start.happen(bed, begin, know); err != nil {
			break
		}
	}
	if err == nil {
		err = s.stop(ctx)
	}
	return stop, start, err
}
