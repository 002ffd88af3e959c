// The discovery benchmark's events: a server stops or starts, and a fleet of
// clients comes to know it. Both parts of the benchmark measure that.

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A listEvent is what the same change, made several times, led to.
type listEvent struct {
	delays       []float64 // until each client knew, ms
	last         []float64 // until the last one knew, each time, ms
	zkCPU, myCPU []float64 // used meanwhile by ZooKeeper and by this process with its clients, each time, ms; none but on Linux
}

// happen makes a change and waits until all clients know. Begin returns the
// moment from which it counts.
func (e *listEvent) happen(bed *testbed, begin func() (time.Time, error), know func(since time.Time) ([]time.Time, error)) error {
	var used [2]time.Duration // until now
	pids := [2]int{bed.zookeeper.PID(), os.Getpid()}
	cpu := func() (spent [2]time.Duration, err error) {
		for i := range pids {
			now, cpuErr := cpuOf(pids[i])
			spent[i], used[i], err = now-used[i], now, errors.Join(err, cpuErr)
		}
		return spent, err
	}
	_, noCPU := cpu()
	if noCPU != nil && runtime.GOOS == "linux" {
		return noCPU
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
	if spent, err := cpu(); err == nil {
		e.zkCPU, e.myCPU = append(e.zkCPU, milliseconds(spent[0])), append(e.myCPU, milliseconds(spent[1]))
	}
	d := delaysSince(counts, times)
	e.delays, e.last = append(e.delays, d...), append(e.last, nearestRank(d, 100))
	return nil
}

// stopStart starts a server, unmeasured, and then stops and starts it in turn.
func stopStart(ctx context.Context, bed *testbed, f *fleet, rounds int) (stop, start listEvent, err error) {
	addr, release, err := reservePort()
	if err != nil {
		return stop, start, err
	}
	defer release()
	var s *benchServer
	begin := func() (ready time.Time, err error) {
		if s, err = bed.startServer(addr, f.root, benchWorkers); err == nil {
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

// cpuOf returns the processor time that a process has used so far. Every
// process has a clock for that; Linux makes the clock's number from the pid.
func cpuOf(pid int) (time.Duration, error) {
	const kindOfClock = 2 // of the whole process, in nanoseconds
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|kindOfClock, &used); err != nil {
		return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}
