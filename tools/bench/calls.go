// Calls through clients that are libraries: net/rpc's two and our own. Their
// drivers are goroutines that call, and call again when the reply is there.

//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	netrpc "net/rpc"
	"net/rpc/jsonrpc"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	rpc "example.com/rpcworkbook/final"
)

// A step completes one call and returns how long it took.
type step func() (time.Duration, error)

// A loop is what the goroutines of closedLoop share.
type loop struct {
	phase  atomic.Int32  // warming, counting, over
	first  chan struct{} // a value for each goroutine that has completed a step
	failed chan error    // how a goroutine ended too soon

	mu   sync.Mutex
	hist Histogram // of the calls that ended while counting
}

const (
	warming = iota
	counting
	over
)

// run completes steps until all is over or one fails.
func (l *loop) run(step step) {
	for calls := 0; l.phase.Load() < over; calls++ {
		d, err := step()
		if err != nil {
			l.failed <- err
			return
		}

		if l.phase.Load() == counting {
			l.mu.Lock()
			l.hist.Record(d, 1)
			l.mu.Unlock()
		}
		if calls == 0 {
			l.first <- struct{}{}
		}
	}
}

// waitServed waits until each of n goroutines has completed a step.
func (l *loop) waitServed(n int) error {
	late := time.After(patience)
	for range n {
		select {
		case <-l.first:
		case err := <-l.failed:
			return err
		case <-late:
			return fmt.Errorf("not every caller had a reply within %v", patience)
		}
	}
	return nil
}

// sleep returns after d, or sooner with the error of a step that failed.
func (l *loop) sleep(d time.Duration) error {
	select {
	case err := <-l.failed:
		return err
	case <-time.After(d):
		return nil
	}
}

// counted returns the number of calls in the histogram.
func (l *loop) counted() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hist.Count()
}

// closedLoop runs each of the steps again and again on a goroutine of its own
// and measures them together. end makes steps that still wait return.
func closedLoop(job Job, steps []step, end func()) (r Result, err error) {
	l := &loop{failed: make(chan error, len(steps)), first: make(chan struct{}, len(steps))}
	var wait sync.WaitGroup
	for _, step := range steps {
		wait.Go(func() { l.run(step) })
	}
	defer func() {
		l.phase.Store(over)
		end()
		wait.Wait()
	}()

	// See load: each is served once before anything is measured.
	if err := l.waitServed(len(steps)); err != nil {
		return r, err
	}
	if err := l.sleep(job.Warm); err != nil {
		return r, err
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := startMeter(job.PIDs)
	if err != nil {
		return r, err
	}

	l.phase.Store(counting)
	err = l.sleep(job.Window)
	for err == nil && l.counted() == 0 && time.Since(m.began) < patience {
		err = l.sleep(job.Window) // a machine that is very busy
	}
	l.phase.Store(over)

	err = errors.Join(err, m.stop(&r))
	runtime.ReadMemStats(&after)

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hist.Count() == 0 && err == nil {
		err = fmt.Errorf("no call was answered within %v", patience)
	}

	r.Calls, r.P50, r.P99 = l.hist.Count(), l.hist.Percentile(50), l.hist.Percentile(99)
	// Whole ones, as go test -benchmem counts.
	r.Allocs = float64((after.Mallocs - before.Mallocs) / uint64(max(r.Calls, 1)))
	return r, err
}

// dialers connect the standard library's clients.
var dialers = map[string]func(network, addr string) (*netrpc.Client, error){
	gob:     netrpc.Dial,
	jsonRPC: jsonrpc.Dial,
}

// stdlib drives Conns connections with Depth calls outstanding on each, by one
// goroutine a connection.
func stdlib(job Job) (Result, error) {
	var clients []*netrpc.Client
	end := func() {
		for _, c := range clients {
			c.Close()
		}
	}

	var steps []step

	for range job.Conns {
		c, err := dialers[job.Driver]("tcp", job.Addr)
		if err != nil {
			end()
			return Result{}, err
		}
		clients = append(clients, c)
		steps = append(steps, pipelined(c, job.Depth))
	}
	return closedLoop(job, steps, end)
}

// pipelined keeps depth calls outstanding; a step waits for one of them.
func pipelined(c *netrpc.Client, depth int) step {
	done := make(chan *netrpc.Call, depth)
	began := make(map[*string]time.Time, depth) // by where the reply goes
	start := func(reply *string) {
		*reply, began[reply] = "", time.Now()
		c.Go("Service.Ping", greeting, reply, done)
	}
	for range depth {
		start(new(string))
	}
	return func() (time.Duration, error) {
		call := <-done
		reply := call.Reply.(*string)
		d := time.Since(began[reply])
		if err := check(*reply, call.Error); err != nil {
			return d, err
		}
		start(reply)
		return d, nil
	}
}

func check(reply string, err error) error {
	if err == nil && reply != greeting {
		err = fmt.Errorf("the reply is not %q: %q", greeting, reply)
	}
	return err
}

// timed makes a step of a call.
func timed(call func() error) step {
	return func() (time.Duration, error) {
		began := time.Now()
		err := call()
		return time.Since(began), err
	}
}

// shared drives a client of net/rpc for each server, which Depth goroutines
// share. Chance decides which makes the next call. Each call has a deadline, by
// what the package offers for that.
func shared(job Job) (Result, error) {
	var clients []*netrpc.Client
	end := func() {
		for _, c := range clients {
			c.Close()
		}
	}
	for _, addr := range job.Addrs {
		c, err := netrpc.Dial("tcp", addr)
		if err != nil {
			end()
			return Result{}, err
		}
		clients = append(clients, c)
	}

	var steps []step
	for range job.Depth {
		steps = append(steps, timed(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			var reply string
			call := clients[rand.N(len(clients))].Go("Service.Ping", greeting, &reply, make(chan *netrpc.Call, 1))
			select {
			case <-call.Done:
				return check(reply, call.Error)
			case <-ctx.Done():
				return ctx.Err()
			}
		}))
	}
	return closedLoop(job, steps, end)
}

// client drives one of our clients, which Depth goroutines share.
func client(job Job) (Result, error) {
	addrs := job.Addrs
	if addrs == nil {
		addrs = []string{job.Addr}
	}
	return callers(job, rpc.NewClient(rpc.Static(addrs)))
}

// atRandom does the same with a client for each server, and chance as to which
// client makes the next call.
func atRandom(job Job) (Result, error) {
	var clients []*rpc.Client
	for _, addr := range job.Addrs {
		clients = append(clients, rpc.NewClient(rpc.Static{addr}))
	}
	return callers(job, clients...)
}

// callers drives our clients by Depth goroutines. Each call is one client's,
// taken at random, and has a deadline, as calls should.
func callers(job Job, clients ...*rpc.Client) (Result, error) {
	end := func() {
		for _, c := range clients {
			c.Close()
		}
	}

	var steps []step
	for range job.Depth {
		steps = append(steps, timed(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c := clients[0]
			if len(clients) > 1 {
				c = clients[rand.N(len(clients))]
			}
			reply, _, err := c.Call(ctx, "ping", greeting)
			if err == nil && string(reply.Result) != `"`+greeting+`"` {
				err = fmt.Errorf("the reply is not %q: %s", greeting, reply.Result)
			}
			return err
		}))
	}
	return closedLoop(job, steps, end)
}

// bare drives Depth connections by the least that a goroutine can do: write a
// frame, read a frame.
func bare(job Job) (Result, error) {
	frame, want := rpc.AppendFrame(nil, []byte(request)), rpc.AppendFrame(nil, []byte(job.Reply))

	var conns []net.Conn
	end := func() {
		for _, conn := range conns {
			conn.Close()
		}
	}

	var steps []step
	for range job.Depth {
		conn, err := net.Dial("tcp", job.Addr)
		if err != nil {
			end()
			return Result{}, err
		}
		conns = append(conns, conn)

		// Should it hang, end closes the connection.
		buf := make([]byte, len(want))
		steps = append(steps, timed(func() error { return exchange(conn, frame, buf, want) }))
	}
	return closedLoop(job, steps, end)
}
