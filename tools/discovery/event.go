// The events: a server stops or starts, and a fleet of clients comes to know
// it. Both parts of the benchmark measure that.

//go:build linux

package discovery

import (
	"context"
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
func (e *listEvent) happen(
	bed *testbed, begin func() (time.Time, error), know func(since time.Time) ([]time.Time, error),
) error {
	zkBefore, myBefore, err := bed.cpu()
	if err != nil {
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

	zkAfter, myAfter, err := bed.cpu()
	if err != nil {
		return err
	}
	e.zkCPU = append(e.zkCPU, milliseconds(zkAfter-zkBefore))
	e.myCPU = append(e.myCPU, milliseconds(myAfter-myBefore))
	d := delaysSince(counts, times)
	e.delays = append(e.delays, d...)
	e.last = append(e.last, figures.NearestRank(d, 100))
	return nil
}

// cpu returns the processor time that ZooKeeper has used until now, and this
// process.
func (b *testbed) cpu() (zookeeper, here time.Duration, err error) {
	zookeeper, err = usage.CPUTime([]int{b.zookeeper.PID()})
	if err != nil {
		return 0, 0, err
	}
	here, err = usage.CPUTime([]int{os.Getpid()})
	return zookeeper, here, err
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
		s, err = bed.startServer(addr, f.root, serverWorkers)
		if err != nil {
			return time.Time{}, err
		}
		return s.firstPong(ctx)
	}
	end := func() (time.Time, error) { return s.terminate() }

	know := func(since time.Time) ([]time.Time, error) { return f.await(ctx, since, lists(addr)) }
	forget := func(since time.Time) ([]time.Time, error) { return f.await(ctx, since, lacks(addr)) }

	if err := new(listEvent).happen(bed, begin, know); err != nil {
		return stop, start, err
	}
	for range rounds {
		if err := stop.happen(bed, end, forget); err != nil {
			return stop, start, err
		}
		if err := s.wait(ctx); err != nil {
			return stop, start, err
		}
		if err := start.happen(bed, begin, know); err != nil {
			return stop, start, err
		}
	}
	return stop, start, s.stop(ctx)
}
