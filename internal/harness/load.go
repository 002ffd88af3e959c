// Load: callers that keep calling while the test does things to the server.

package harness

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Load is a number of callers, each with one call at a time, over and over,
// on a connection that it replaces when the server has ended it.
type Load struct {
	t       testing.TB
	addr    string
	stop    chan struct{}
	callers sync.WaitGroup
	calls   atomic.Int64

	mu     sync.Mutex
	broken []string
}

// StartLoad starts callers of the server at addr. They end with the test at
// the latest.
func StartLoad(t testing.TB, addr string, callers int) *Load {
	t.Helper()
	l := &Load{t: t, addr: addr, stop: make(chan struct{})}
	for caller := range callers {
		l.callers.Go(func() { l.run(caller) })
	}
	t.Cleanup(l.end)
	Did(t, "started %d callers of %s", callers, addr)
	return l
}

// WaitCalls waits until n more calls than now have been answered.
func (l *Load) WaitCalls(n int) {
	l.t.Helper()
	before := int(l.calls.Load())
	Eventually(l.t, 20*time.Second, fmt.Sprintf("%d more calls answered", n), func() (bool, string) {
		more := int(l.calls.Load()) - before
		return more >= n, fmt.Sprint(more)
	})
}

// Stop ends the callers, and fails the test if a call broke: if it was
// answered wrongly, in part or not within 10 s, or if a connection that had
// served before was reset. A connection that is ended properly instead of an
// answer is not broken, nor is one that is refused: so the server can tell its
// callers that it is leaving.
func (l *Load) Stop() {
	l.t.Helper()
	l.end()
	Check(l.t, len(l.broken) == 0, "no broken call", "%d of %d: %v", len(l.broken), l.calls.Load(), l.broken)
}

func (l *Load) end() {
	l.mu.Lock()
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.mu.Unlock()
	l.callers.Wait()
}

func (l *Load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *Load) run(caller int) {
	for !l.stopped() {
		conn, err := net.DialTimeout("tcp", l.addr, 10*time.Second)
		if err != nil {
			if isTimeout(err) {
				l.report(err)
			}
			time.Sleep(5 * time.Millisecond) // the pace of callers that are refused
			continue
		}

		if err := l.use(newConn(l.t, conn), caller); err != nil {
			l.report(err)
		}
	}
}

// use calls on one connection until it ends, and returns what was wrong.
func (l *Load) use(c *Conn, caller int) error {
	defer c.Close()
	for n := 0; !l.stopped(); n++ {
		params := fmt.Sprintf("%d of caller %d", n, caller)
		reply, err := c.TryCall("ping", params)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && n == 0 && !isTimeout(err) && !errors.Is(err, errCutShort):
			return nil // it never got as far as a process
		case err != nil:
			return fmt.Errorf("call %s: %w", params, err)
		case reply.Kind != "pong" || string(reply.Result) != fmt.Sprintf("%q", params):
			return fmt.Errorf("call %s: answered with %v", params, reply)
		}
		l.calls.Add(1)
	}
	return nil
}

func (l *Load) report(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.broken) < 10 {
		l.broken = append(l.broken, err.Error())
	}
}
