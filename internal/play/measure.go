// What stories measure with, and how they mend what they broke.

package play

import (
	"context"
	"fmt"
	"net"
	"time"

	"example.com/rpcworkbook/internal/play/load"
	"example.com/rpcworkbook/internal/stage"
)

const (
	probeTime  = time.Second
	settleTime = 2 * load.Period // until the calls of a moment have been reported
	trialTerms = 1_000_000       // of pi, to learn how fast a server computes
)

// wait waits, unless ctx ends.
func wait(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until waits for a condition and tells whether it came true in time.
func (p *Play) until(ctx context.Context, within time.Duration, condition func() bool) bool {
	return stage.Await(ctx, within, func() (bool, error) { return condition(), nil }) == nil
}

// A count is of the calls since some moment.
type count struct {
	play             *Play
	calls, lost      int // at the moment
	answered, failed int // since, once result has been called
}

func (p *Play) countCalls() *count {
	calls, lost := p.tally.totals()
	return &count{play: p, calls: calls, lost: lost}
}

// result ends the count, and puts it into a sentence.
func (c *count) result(ctx context.Context) string {
	_ = wait(ctx, settleTime)
	calls, lost := c.play.tally.totals()
	c.failed = lost - c.lost
	c.answered = calls - c.calls - c.failed
	return fmt.Sprintf(" Meanwhile %d calls were answered, and %d failed.", c.answered, c.failed)
}

// someWorkers returns so many workers of a server.
func (p *Play) someWorkers(v *server, many int) ([]int, error) {
	pids, err := v.workers()
	if err != nil {
		return nil, err
	}
	if !v.Running() || len(pids) < many {
		return nil, fmt.Errorf("server %s has %d workers, not %d", v.name, len(pids), many)
	}
	return pids[:many], nil
}

// waitWorkers waits until a server has all its workers, none of the lost ones
// among them, and returns those that it has at last.
func (p *Play) waitWorkers(ctx context.Context, v *server, lost []int, within time.Duration) (pids []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err = v.WaitWorkers(ctx, Workers, lost...)
	pids, _ = v.workers()
	return pids, err
}

// waitNoWorkers waits until a server has no worker, and returns those that it
// still has.
func (p *Play) waitNoWorkers(ctx context.Context, v *server, within time.Duration) (pids []int, err error) {
	err = stage.Await(ctx, within, func() (bool, error) {
		pids, err = v.workers()
		return len(pids) == 0, err
	})
	return pids, err
}

// probe makes so many connections to a server at once, with a ping on each.
func (p *Play) probe(ctx context.Context, v *server, many int) (answered, hung, refused int) {
	type result struct{ connected, answered bool }
	results := make(chan result, many)
	for range many {
		go func() {
			conn, err := (&net.Dialer{Timeout: probeTime}).DialContext(ctx, "tcp", v.addr)
			if err != nil {
				results <- result{}
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(probeTime))
			_, err = load.Exchange(conn, "ping", "anybody?")
			results <- result{true, err == nil}
		}()
	}
	for range many {
		switch r := <-results; {
		case r.answered:
			answered++
		case r.connected:
			hung++
		default:
			refused++
		}
	}
	return answered, hung, refused
}

// compute has a server compute for so many callers, each on a connection of its
// own. The channel gets what became of each.
func (p *Play) compute(ctx context.Context, v *server, callers int) <-chan error {
	began := time.Now()
	n := load.Long(0)
	if call(ctx, v, trialTerms) == nil {
		n = load.Long(trialTerms / time.Since(began).Seconds())
	}

	results := make(chan error, callers)
	for range callers {
		go func() { results <- call(ctx, v, n) }()
	}
	return results
}

// call has a server compute pi from n terms.
func call(ctx context.Context, v *server, n int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", v.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = load.Exchange(conn, "pi", n)
	return err
}

// repair starts a server again unless it runs with all its workers, and waits
// until it is as it should be.
func (p *Play) repair(ctx context.Context, v *server) error {
	if pids, err := v.workers(); err == nil && v.Running() && len(pids) == Workers {
		return nil
	}
	if v.Running() {
		_ = p.signal("SIGTERM", v.PID())
		_, _ = v.Wait(8 * time.Second) // what is left is killed
	}
	if err := v.Group().Kill(); err != nil {
		return err
	}

	p.lookNow() // so that the log has told of the end
	p.journal.say(kindDone, "server %s is started again", v.name)
	if err := v.start(); err != nil {
		return err
	}
	_, err := p.waitWorkers(ctx, v, nil, 10*time.Second)
	return err
}
