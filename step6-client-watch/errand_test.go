// Tests of how a call finds a server.

package main

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// What a server may owe is limited, also when no other will do.
func TestNoServerIsGivenMoreThanItMayOwe(t *testing.T) {
	client, _ := newClient(t, refused(t), harness.StartStub(t, "", deaf).Addr)
	failed, full := remotes(client)[0], remotes(client)[1]
	for range maxDoublings {
		failed.blame()
	}
	full.outstanding.Store(maxOutstanding)
	e := &errand{client: client, need: needAny}

	for range 20 {
		r := e.pick(remotes(client))
		require.True(t, r == failed, "the one that is set aside has room")
	}
	failed.outstanding.Store(maxOutstanding)
	assert.True(t, e.pick(remotes(client)) == nil, "both are full")
	assert.Empty(t, others(remotes(client), nil), "not even a ping")
}

// A server can speak twice, as when it is silent and then breaks. The others
// are waited for all the same.
func TestPingOfEachServerIsWaitedFor(t *testing.T) {
	var servers []*remote
	for range 2 {
		r := &remote{addr: refused(t)}
		r.pipe = unstarted(t, r)
		servers = append(servers, r)
	}
	breaks, ok := servers[0].pipe, servers[1].pipe

	found := make(chan *remote, 1)
	go func() { found <- firstToAnswer(t.Context(), servers) }()
	harness.Eventually(t, 10*time.Second, "a ping for each", func() (bool, string) {
		n := 0
		for _, r := range servers {
			n += int(r.outstanding.Load())
		}
		return n == len(servers), fmt.Sprint(n)
	})
	breaks.take(nil)
	ok.take(nil)

	breaks.mu.Lock()
	breaks.suspect()
	breaks.settle(breaks.sent[0], outcome{err: io.EOF, written: true}) // before the first one has been dealt with
	breaks.mu.Unlock()
	harness.Eventually(t, 10*time.Second, "both of its outcomes dealt with", func() (bool, string) {
		return len(breaks.sent[0].outcomes) == 0, fmt.Sprint(len(breaks.sent[0].outcomes))
	})

	require.NoError(t, ok.answer([]byte(`{"out":"pong","result":1}`)))
	assert.True(t, <-found == servers[1], "the one that has answered")
}

// When all who worked on a call have failed, the next server is asked once,
// whether pick finds it or find does.
func TestServerThatIsFoundIsEnough(t *testing.T) {
	client, _ := newClient(t, harness.StartStub(t, "", deaf).Addr, harness.StartStub(t, "", deaf).Addr)
	picked, other := remotes(client)[0], remotes(client)[1]
	looking := func() *errand {
		found := make(chan *remote, 1)
		e := &errand{
			client: client, method: "ping", frame: ping("1"), outcomes: make(chan outcome, 2*maxAttempts),
			need: needTrusted, found: found,
		}
		t.Cleanup(e.dropAll)
		return e
	}

	t.Run("by find", func(t *testing.T) {
		e := looking()
		e.found <- other
		_, _, _ = e.await(t.Context(), nil)
		require.Len(t, e.open, 1)
		assert.Equal(t, needNone, e.need)
	})

	t.Run("by pick, while find still looks", func(t *testing.T) {
		for _, r := range []*remote{picked, other} {
			e := looking()
			found := e.found
			for range maxDoublings {
				other.blame()
			}
			require.NoError(t, e.askOne())
			require.True(t, worksOn(picked, e.open))

			found <- r // too late, and perhaps the same
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, _, _ = e.await(ctx, nil)
			cancel()
			assert.Len(t, e.open, 1)
		}
	})
}
