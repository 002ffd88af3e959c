// Tests of the balance: which server a call goes to, how many calls a server is
// given at once, and that whoever waits for one gets it, or leaves without a
// trace.

package rpc

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// newBalance returns one that knows servers with these names, and never calls
// them: it takes itself for searching already.
func newBalance(names ...string) *balance {
	b := &balance{updated: make(chan struct{}), searching: true}
	b.update(Snapshot{Servers: names})
	return b
}

// takeNow takes a server that must be there, and counts a call as outstanding.
func takeNow(t *testing.T, b *balance) *remote {
	t.Helper()
	r, ticket, err := b.take(nil)
	require.NoError(t, err)
	require.Nil(t, ticket, "a server that is ready")
	r.outstanding.Add(1)
	return r
}

// answer is what a connection does when a server has answered a call.
func answer(r *remote, took time.Duration) {
	r.standing.adapt(r.outstanding.Add(-1)+1, took)
	r.answered()
}

func TestOfTwoServersTheOneThatOwesLess(t *testing.T) {
	b := newBalance("a", "b")
	b.remotes["a"].outstanding.Store(5)
	for i := range 4 {
		takeNow(t, b)
		assert.LessOrEqual(t, b.remotes["b"].outstanding.Load(), int32(6), "after %d calls", i+1)
	}
	// A coin decides which two are compared: the same one twice, every other
	// time.
	assert.Positive(t, b.remotes["b"].outstanding.Load())
}

func TestCallsThatComeTogetherGoToOneServer(t *testing.T) {
	b := newBalance("a", "b", "c", "d")
	for _, r := range b.list {
		r.standing.window.Store(100)
		r.standing.isQuick.Store(true)
	}

	const now, longAgo = 1 << 62, 0 // for a clock that may stand still as long as it likes
	takeAfter := func(lastTime int64) *remote {
		b.lastTime = lastTime
		return takeNow(t, b)
	}

	first := takeAfter(longAgo)
	for range maxTogether - 1 {
		assert.Same(t, first, takeAfter(now))
	}
	takeAfter(now)
	assert.Equal(t, 1, b.together, "no more than so many: this one was chosen anew")

	takeAfter(now)
	assert.Equal(t, 2, b.together)
	takeAfter(longAgo)
	assert.Equal(t, 1, b.together, "this one came too late to share a write")

	answer(b.last, quickAnswer)
	takeAfter(now)
	assert.Equal(t, 1, b.together, "that server takes its time")

	b.last.standing.window.Store(b.last.outstanding.Load())
	takeAfter(now)
	assert.Equal(t, 1, b.together, "that server is full")
}

func TestWindowFollowsTheServersSpeed(t *testing.T) {
	var p standing
	assert.Equal(t, int32(firstWindow), p.width(), "at first")
	p.adapt(1, 0)
	assert.Equal(t, int32(firstWindow), p.width(), "who is not full needs no more")

	for range 10 {
		p.adapt(p.width(), 0)
	}
	assert.Equal(t, int32(firstWindow+10), p.width(), "one more for each quick answer")

	for range 10_000 {
		p.adapt(p.width(), 0)
	}
	assert.Equal(t, int32(maxOutstanding), p.width(), "at most")

	p.adapt(1, slowAnswer+1)
	assert.Equal(t, int32(maxOutstanding/2), p.width(), "half as many for a slow one")
	for range 20 {
		p.adapt(1, slowAnswer+1)
	}
	assert.Equal(t, int32(1), p.width(), "at least")
}

func TestFullServersLetCallersWait(t *testing.T) {
	b := newBalance("a")
	for range firstWindow {
		takeNow(t, b)
	}
	var tickets []*ticket
	for range 3 {
		r, ticket, err := b.take(nil)
		require.NoError(t, err)
		require.Nil(t, r, "it has no room")
		tickets = append(tickets, ticket)
	}
	b.leave(tickets[0]) // before there was room
	a := b.remotes["a"]
	answer(a, time.Minute) // so slow that there is still no room
	assert.Empty(t, tickets[1].turn)
	for a.outstanding.Load() >= a.standing.width() {
		answer(a, 0)
	}
	require.Len(t, tickets[1].turn, 1, "first come, first served")
	assert.Empty(t, tickets[2].turn, "there was room for one")

	b.leave(tickets[1]) // with a server in hand that it doesn't need any more
	require.Len(t, tickets[2].turn, 1, "the next one has it")
	r := <-tickets[2].turn
	r.outstanding.Add(1)
	b.started(r)
	assert.Zero(t, b.waiting.Load())
	assert.Zero(t, a.standing.promised)
}

func TestHedgeGoesToAServerThatAnswers(t *testing.T) {
	b := newBalance("silent", "unknown", "good")
	open := []*attempt{{remote: b.remotes["silent"]}}
	b.remotes["silent"].lively.Store(clock())
	b.remotes["good"].lively.Store(clock())

	for range 20 {
		r, _, err := b.take(open)
		require.NoError(t, err)
		require.Equal(t, "good", r.addr)
	}

	open = append(open, &attempt{remote: b.remotes["good"]})
	r, ticket, err := b.take(open)
	require.NoError(t, err)
	require.Nil(t, r, "nobody knows whether the last one is there")

	clear(open) // as when these attempts end: the ticket keeps its own list
	b.answered(b.remotes["good"])
	b.changed(b.remotes["unknown"])
	assert.Empty(t, ticket.turn)
	b.answered(b.remotes["unknown"])
	require.Len(t, ticket.turn, 1)
	assert.Equal(t, "unknown", (<-ticket.turn).addr)
}

// Among calls that wait, hedges have their share, and no more.
func TestHedgesHaveTheirShare(t *testing.T) {
	b := newBalance("a")
	a := b.remotes["a"]
	a.outstanding.Store(firstWindow)

	elsewhere := []*attempt{{remote: &remote{}}}
	var calls, hedges []*ticket
	for range 40 {
		_, call, _ := b.take(nil)
		_, hedge, _ := b.take(elsewhere)
		calls, hedges = append(calls, call), append(hedges, hedge)
	}

	served := func(tickets []*ticket) (n int) {
		for _, ticket := range tickets {
			n += len(ticket.turn)
		}
		return n
	}

	for range 20 { // one leaves, one comes
		a.outstanding.Add(-1)
		b.answered(a)
		a.standing.promised = 0
		a.outstanding.Add(1)
	}

	assert.Equal(t, 20, served(calls)+served(hedges))
	assert.Equal(t, 20/hedgeShare, served(hedges))
}

func TestFailedServersAreSetAsideUntilTheyAnswer(t *testing.T) {
	b := newBalance("a", "b", "c")
	for _, name := range []string{"b", "c"} {
		b.remotes[name].blame()
	}

	assert.Len(t, b.aside, 2)
	for range firstWindow {
		assert.Equal(t, "a", takeNow(t, b).addr)
	}

	b.remotes["b"].praise()
	b.answered(b.remotes["b"])
	assert.Len(t, b.aside, 1)
	assert.Equal(t, "b", takeNow(t, b).addr)

	b.update(Snapshot{Servers: []string{"a"}})
	assert.Empty(t, b.aside, "nobody asks who is no longer listed")
	assert.Nil(t, b.pick(), "and the one that is left is full")
}

// A server that fails is no longer ready, whether or not a call finds that out,
// so that its next answer is heard of.
func TestServerThatFailsAndAnswersIsNoLongerAside(t *testing.T) {
	b := newBalance("a", "b")
	a := b.remotes["a"]
	a.blame()
	assert.Len(t, b.ready, 1)
	assert.Len(t, b.aside, 1)

	a.praise() // as when a ping is answered before any call has drawn it
	a.answered()
	assert.Len(t, b.ready, 2)
	assert.Empty(t, b.aside)
}

// A server that is being pinged comes after the others, whatever else happens
// meanwhile: they are to have their turns, too.
func TestServersThatAreAsideArePingedInTurn(t *testing.T) {
	dialed := make(chan string, 10)
	b := &balance{
		updated: make(chan struct{}), searching: true,
		options: &ClientOptions{Dial: func(_ context.Context, addr string) (net.Conn, error) {
			dialed <- addr
			<-t.Context().Done() // it hangs
			return nil, t.Context().Err()
		}},
	}
	list := Snapshot{Servers: []string{"a", "b", "good"}}
	b.update(list)
	for i, name := range []string{"a", "b"} {
		b.remotes[name].avoidUntil.Store(int64(1 + i)) // long over
	}
	b.update(list)

	for _, name := range []string{"a", "b"} {
		takeNow(t, b)
		assert.Equal(t, name, receive(t, dialed, "a ping of "+name))
		b.update(list)
	}
	takeNow(t, b)
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Equal(t, 2, b.probes, "pings under way")
}

func TestListThatBecomesEmptySendsAwayWhoWaits(t *testing.T) {
	b := &balance{updated: make(chan struct{})}
	_, ticket, err := b.take(nil)
	require.NoError(t, err, "the list is not known yet")
	b.update(Snapshot{})
	require.Len(t, ticket.turn, 1)
	require.Nil(t, <-ticket.turn)
	_, _, err = b.take(nil)
	assert.ErrorIs(t, err, ErrNoServer)
	b.closed = true
	_, _, err = b.take(nil)
	assert.ErrorIs(t, err, ErrClosed)
}

// lists is a Discovery that finds what it is sent.
type lists chan []string

func (l lists) Watch(ctx context.Context, publish func(Snapshot)) {
	for {
		select {
		case servers := <-l:
			publish(Snapshot{Servers: servers})
		case <-ctx.Done():
			return
		}
	}
}

// A server that is never silent may still be too slow: when half of a call's
// time is over, another has the other half.
func TestCallThatIsLateGoesElsewhere(t *testing.T) {
	serve := func(d time.Duration) string {
		return harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
			time.Sleep(d)
			_, err := conn.Write(harness.Frame(`{"out":"pong","result":1}`))
			return err
		}).Addr
	}

	slow, quick := serve(600*time.Millisecond), serve(0)
	found := make(lists)
	client := NewClient(found)
	defer client.Close()
	found <- []string{slow}

	var calls sync.WaitGroup
	for range firstWindow {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			_, _, err := client.Call(ctx, "ping", 1)
			assert.NoError(t, err)
		})
	}

	harness.Eventually(t, soon, "all calls at the slow server", func() (bool, string) {
		client.mu.Lock()
		defer client.mu.Unlock()
		r := client.remotes[slow]
		if r == nil {
			return false, "not listed yet"
		}
		n := r.outstanding.Load()
		return n == firstWindow, fmt.Sprint(n)
	})

	found <- []string{slow, quick}
	calls.Wait()
}

// Nobody is forgotten, whatever comes and goes at the same time.
func TestBalanceUnderEverythingAtOnce(t *testing.T) {
	b := newBalance("a", "b", "c")
	var all sync.WaitGroup
	for caller := range 40 {
		all.Go(func() {
			for i := range 500 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%3)*100*time.Microsecond)
				r, ticket, err := b.take(nil)
				if !assert.NoError(t, err) {
					cancel()
					return
				}

				if ticket != nil && i%3 < 2 { // this one has little patience
					select {
					case r = <-ticket.turn:
					case <-ctx.Done():
						b.leave(ticket)
					}
				} else if ticket != nil {
					select {
					case r = <-ticket.turn:
					case <-time.After(20 * time.Second):
						t.Error("a caller who was forgotten")
					}
				}

				cancel()
				if r == nil {
					continue
				}
				r.outstanding.Add(1)
				if ticket != nil {
					b.started(r)
				}

				took := time.Duration(0)
				if (caller+i)%7 == 0 {
					took = 2 * time.Second
				}
				answer(r, took)
			}
		})
	}
	all.Wait()

	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Zero(t, b.waiting.Load())
	assert.Zero(t, b.calls.Len()+b.hedges.Len())
	for _, r := range b.list {
		assert.Zero(t, r.outstanding.Load(), r.addr)
		assert.Zero(t, r.standing.promised, r.addr)
	}
}

// Picking costs the same however many servers are set aside.
func BenchmarkTake(b *testing.B) {
	for _, aside := range []int{9, 4000} {
		b.Run(fmt.Sprint(aside, " aside"), func(b *testing.B) {
			names := []string{"good"}
			for i := range aside {
				names = append(names, fmt.Sprint(i))
			}

			balance := newBalance(names...)
			for _, r := range balance.list[1:] {
				r.failures.Store(20) // it is not tried again while this runs
				r.blame()
			}

			for b.Loop() {
				r, _, err := balance.take(nil)
				if err != nil || r == nil {
					b.Fatal(r, err)
				}
			}
		})
	}
}
