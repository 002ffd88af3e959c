// Computation: what a term of pi's series costs beside the divisions in it,
// and what computations do to the latency of others on their worker.

//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/tools/usage"
)

// divisions takes n divisions in eight chains, which don't wait for each other:
// enough to keep the divider busy. It returns a value made of all of them.
func divisions(n int) float64 {
	const by = math.Pi // no short number, for which some processors divide faster
	a, b, c, d, e, f, g, h := 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8
	for range n / 8 {
		a, b, c, d = by/a, by/b, by/c, by/d
		e, f, g, h = by/e, by/f, by/g, by/h
	}
	return a + b + c + d + e + f + g + h
}

// compute measures computation on a server with one worker. terms is n of the
// computations, window how long to look at ping beside them.
func compute(ctx context.Context, s *server, rounds, terms int, window time.Duration) (c Computation, err error) {
	frame := rpc.AppendFrame(nil, fmt.Appendf(nil, `{"in":"pi","params":%d}`, terms))
	want := rpc.AppendFrame(nil, rpc.NewReply("pi_r", rpc.PiSum(terms)).Append(nil))
	pi := func(conn net.Conn) error {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if err := exchange(conn, frame, make([]byte, len(want)), want); err != nil {
			return fmt.Errorf("pi: %w", err)
		}
		return nil
	}

	var conns [4]net.Conn
	for i := range conns {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			return c, err
		}
		defer conn.Close()
		conns[i] = conn
	}

	here := []int{os.Getpid()}
	for range rounds {
		division, err1 := perTerm(terms, here, func() error { runtime.KeepAlive(divisions(terms)); return ctx.Err() })
		inProcess, err2 := perTerm(terms, here, func() error { runtime.KeepAlive(rpc.PiSum(terms)); return ctx.Err() })
		served, err3 := perTerm(terms, s.pids, func() error { return pi(conns[0]) })
		if err := errors.Join(err1, err2, err3); err != nil {
			return c, err
		}

		c.Division = append(c.Division, division)
		c.InProcess = append(c.InProcess, inProcess)
		c.Served = append(c.Served, served)
	}

	stop := keepCalling(conns[:], pi)
	c.Beside, err = load(Job{ // its connection is the fifth
		Addr: s.addr, PIDs: s.pids, Conns: 1, Depth: 1, Reply: pong, Warm: window / 4, Window: window,
	})
	return c, errors.Join(err, stop())
}

// perTerm returns the processor time that the processes took for each of so
// many terms while f ran. Other time would be that of other programs, too.
func perTerm(terms int, pids []int, f func() error) (nanoseconds float64, err error) {
	before, err := usage.CPUTime(pids)
	err = errors.Join(err, f())
	after, err2 := usage.CPUTime(pids)
	return float64(after-before) / float64(terms), errors.Join(err, err2)
}

// keepCalling calls on each of the connections again and again. stop waits for
// the calls that are under way, and returns the error of one that failed.
func keepCalling(conns []net.Conn, call func(net.Conn) error) (stop func() error) {
	done := make(chan struct{})
	failed := make(chan error, len(conns))
	var wait sync.WaitGroup
	for _, conn := range conns {
		wait.Go(func() {
			for {
				if err := call(conn); err != nil {
					failed <- err
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}

	return func() error {
		close(done)
		wait.Wait()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}
