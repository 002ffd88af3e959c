//go:build linux

// What must hold after a round, on a network without faults, and how soon.

package nettest

import (
	"fmt"
	"slices"
	"time"

	"example.com/rpcworkbook/internal/harness"
)

// settle waits until all is as it should be on a network without faults, and
// complains when that takes longer than was promised.
func (r *run) settle() {
	healed := r.lastChange()
	// The registry may have to elect a leader first.
	served := r.wait(patience, r.b.Name+" answers", func(l look) (bool, string) { return true, "" }).Sub(healed)
	lists := r.wait(patience, "the clients list what is registered, and nothing else", r.listsAre).Sub(healed)
	once := r.waitRegistered(patience).Sub(healed)
	r.wait(patience, "the clients list all servers", r.listsAre)
	for _, c := range r.clients {
		r.waitCalls(c)
	}

	failed, broken := r.judge()
	if r.rounds == 0 {
		return // it was the beginning
	}
	if lists-served > listTime {
		r.complain("the clients' lists were those of %s only %.1fs after it served again",
			r.b.Name, (lists - served).Seconds())
	}
	if once-served > onceTime {
		r.complain("each server had one %s only %.1fs after %s served again",
			r.b.Entry, (once - served).Seconds(), r.b.Name)
	}
	r.listed = append(r.listed, lists)
	r.logf("  %s serves %.1fs after the last fault, lists are right after %.1fs, each server has one %s after %.1fs",
		r.b.Name, served.Seconds(), lists.Seconds(), r.b.Entry, once.Seconds())
	r.logf("  %d calls, the slowest took %.1fs; %d failed, %d of them in spite of a server that was there",
		r.calls(), r.slowestCall().Seconds(), failed, broken)
}

// wait waits until a look at the registry, begun after the last change, says
// what the condition wants, and returns when it began.
func (r *run) wait(within time.Duration, what string, condition func(look) (bool, string)) (at time.Time) {
	r.t.Helper()
	harness.Eventually(r.t, within, what, func() (bool, string) {
		l := r.lookout.last()
		switch {
		case l.err != nil:
			return false, l.err.Error()
		case !l.at.After(r.lastChange()):
			return false, "not looked yet"
		}
		at = l.at
		ok, got := condition(l)
		return ok, got
	})
	return at
}

// waitRegistered waits until each server is registered once, and nobody else.
func (r *run) waitRegistered(within time.Duration) (at time.Time) {
	r.t.Helper()
	var all []string
	for _, v := range r.servers {
		all = append(all, v.addr)
	}
	slices.Sort(all)
	what := fmt.Sprintf("one %s for each server", r.b.Entry)
	return r.wait(within, what, func(l look) (bool, string) { return slices.Equal(l.addrs, all), r.names(l.addrs) })
}

// listsAre tells whether all clients list what a look has found, and know that
// it is so.
func (r *run) listsAre(found look) (ok bool, got string) {
	want := slices.Compact(slices.Clone(found.addrs))
	ok = true
	for _, c := range r.clients {
		c.live(r.t)
		l, any := c.list()
		ok = ok && any && !l.Stale && slices.Equal(l.List, want)
		got += fmt.Sprintf("%s lists %s; ", c.name, r.describe(l))
	}
	return ok, got + "registered is " + r.names(found.addrs)
}

// waitCalls waits until every caller of a client has ended a call that it began
// after now, and every server has answered the client.
func (r *run) waitCalls(c *client) {
	snapshot := func() ([callers]int, []int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var answered []int
		for _, v := range r.servers {
			answered = append(answered, c.answered[v.addr])
		}
		return c.byCaller, answered
	}

	calls, answers := snapshot()
	harness.Eventually(r.t, patience, c.name+" is answered by all servers", func() (bool, string) {
		c.live(r.t)
		ok := true
		calledNow, answersNow := snapshot()
		for i, n := range calledNow {
			ok = ok && n >= calls[i]+2
		}
		for i, n := range answersNow {
			ok = ok && n > answers[i]
		}
		return ok, fmt.Sprintf("calls by caller %v, before %v; answers by server %v, before %v",
			calledNow, calls, answersNow, answers)
	})
}

// judge looks at the calls that have failed since it was called before. It
// returns how many there were, and how many of those were promised to succeed.
func (r *run) judge() (failed, broken int) {
	for _, c := range r.clients {
		failures, lists := c.takeFailures()
		failed += len(failures)

		for _, call := range failures {
			server, ok := r.history.promised(c.name, lists, call.At, call.At.Add(call.Took))
			if !ok {
				continue
			}
			broken++
			r.complain("a call of %s that began at %.1fs and took %.1fs failed, "+
				"though %s could be reached all the time: %s",
				c.name, call.At.Sub(r.began).Seconds(), call.Took.Seconds(), r.names([]string{server}), call.Error)
		}
	}
	r.broken += broken
	r.excused += failed - broken
	return failed, broken
}
