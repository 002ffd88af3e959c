// The whole load on a server: one load generator for each processor, and what
// they have measured together.

//go:build linux

package bench

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// loaders are the load on one server.
type loaders []*loader

// newLoaders divides the job's connections among as many loaders as there are
// processors, if there are connections enough.
func newLoaders(job Job) (all loaders, err error) {
	parts := min(runtime.GOMAXPROCS(0), job.Conns)
	for i := range parts {
		part := job
		part.First = job.Conns * i / parts
		part.Conns = job.Conns*(i+1)/parts - part.First

		l, err := newLoader(part)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// run keeps the load up for a while.
func (all loaders) run(d time.Duration) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, l := range all {
		wait.Go(func() { errs[i] = l.run(d) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// answered returns how many connections have had a whole reply.
func (all loaders) answered() (n int) {
	for _, l := range all {
		n += l.answered
	}
	return n
}

// count returns what has been counted, and forgets it.
func (all loaders) count() (h Histogram) {
	for _, l := range all {
		h.Add(&l.hist)
		l.hist = Histogram{}
	}
	return h
}

func (all loaders) close() {
	for _, l := range all {
		l.close()
	}
}

// load makes calls as the job says and measures them.
func load(job Job) (r Result, err error) {
	all, err := newLoaders(job)
	if err != nil {
		return r, err
	}
	defer all.close()

	// First every connection has been served once: thousands are not accepted
	// all at once, and waiting for that is another matter.
	for began := time.Now(); all.answered() < job.Conns; {
		if err := all.run(10 * time.Millisecond); err != nil {
			return r, err
		}
		if time.Since(began) > patience {
			return r, fmt.Errorf("only %d of %d connections were served within %v", all.answered(), job.Conns, patience)
		}
	}

	if err := all.run(job.Warm); err != nil {
		return r, err
	}

	m, err := startMeter(job.PIDs)
	if err != nil {
		return r, err
	}

	all.count()
	err = all.run(job.Window)
	hist := all.count()
	for err == nil && hist.Count() == 0 { // a machine that is very busy
		err = all.run(job.Window)
		hist = all.count()
	}

	err = errors.Join(err, m.stop(&r))
	r.Calls, r.P50, r.P99 = hist.Count(), hist.Percentile(50), hist.Percentile(99)
	r.Share = share(job.PIDs, job.Conns)
	return r, err
}

// spread makes the calls that our client makes with Depth callers, but over a
// connection to each server from the beginning, and builds and parses nothing:
// no client can be much faster with as many servers on this machine.
func spread(job Job) (Result, error) {
	job.Conns = len(job.Addrs)
	job.Depth = max(1, job.Depth/job.Conns)
	return load(job)
}
