// Tests of a limit on requests that is lower than the protocol's: what the
// server says, and what becomes of the client's other calls.

//go:build unix

package rpc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// clientOf returns a client that knows this server alone.
func clientOf(t *testing.T, addr string) *Client {
	client := NewClient(Static{addr})
	t.Cleanup(client.Close)
	require.NoError(t, client.Wait(within(t), 1))
	return client
}

// within is the context of a call that should be over soon.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

func TestMaxFrame(t *testing.T) {
	const most = 2000
	w := startInside(t, Limits{MaxFrame: most}, nil)
	longest := strings.Repeat("x", most-len(harness.Request("ping", "")))
	c, other := w.dial(), w.dial()
	c.SendRequest("ping", longest)
	c.WantPong(`"` + longest + `"`)
	c.SendRequest("ping", longest+"x")
	c.WantReply("error", `"frame of 2001 bytes is over the limit of 2000"`)
	c.WantEOF()
	w.ping(other)

	for _, none := range []int{0, MaxRequest, 2 * MaxRequest} { // the protocol has one of its own
		w := startInside(t, Limits{MaxFrame: none}, nil)
		c := w.dial()
		c.SendRequest("ping", longest+"x")
		c.WantPong(`"` + longest + `x"`)
		w.on(func() { assert.Equal(t, MaxRequest, w.server.MaxFrame) })
	}
}

// A call that one server finds too long gets that server's answer, although
// most of it is still to be sent, and is not tried again.
func TestCallOverTheServersLimit(t *testing.T) {
	w := startInside(t, Limits{MaxFrame: 2000}, nil)
	client := clientOf(t, w.addr)
	for _, length := range []int{2000, 100_000, MaxRequest - 100} {
		_, server, err := client.Call(within(t), "ping", strings.Repeat("x", length))
		var answer *ReplyError
		require.ErrorAs(t, err, &answer)
		assert.Equal(t, w.addr, server)
		assert.Contains(t, answer.Message, "over the limit of 2000")
		_, _, err = client.Call(within(t), "ping", "a short one")
		assert.NoError(t, err)
	}
}

// The connection ends behind a call that is too long. What was called before it
// is answered; behind it, a call that may run twice moves to another
// connection, and one that may not fails and says why.
func TestCallsAroundOneOverTheServersLimit(t *testing.T) {
	l := &lab{}
	w := startInside(t, Limits{MaxFrame: 2000}, l.methods())
	client := clientOf(t, w.addr)
	type result struct {
		reply Reply
		err   error
	}
	calls := 0
	call := func(method string, params any) <-chan result {
		done := make(chan result, 1)
		go func() {
			reply, _, err := client.Call(within(t), method, params)
			done <- result{reply, err}
		}()
		calls++
		harness.Eventually(t, soon, fmt.Sprintf("%d calls on the connection", calls), func() (bool, string) {
			r := client.list[0]
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.pipe == nil {
				return false, "no connection"
			}
			r.pipe.mu.Lock()
			defer r.pipe.mu.Unlock()
			return len(r.pipe.sent) == calls, fmt.Sprint(len(r.pipe.sent))
		})
		return done
	}
	before := call("compute", 1) // and nothing behind it is read
	long := call("ping", strings.Repeat("x", 5000))
	once, twice := call("compute", 2), call("ping", "again")
	w.eventually("a computation", func() bool { return l.running == 1 })
	w.on(func() { l.finish = true })

	got := receive(t, before, "the call before")
	require.NoError(t, got.err)
	assert.Equal(t, NewReply("computed", 1), got.reply)
	var answer *ReplyError
	require.ErrorAs(t, receive(t, long, "the long call").err, &answer)
	assert.Contains(t, answer.Message, "over the limit of 2000")
	err := receive(t, once, "the call that may not run twice").err
	require.ErrorContains(t, err, "connection lost")
	require.ErrorContains(t, err, w.addr)
	assert.NotErrorAs(t, err, &answer)
	got = receive(t, twice, "the call that may run twice")
	require.NoError(t, got.err)
	assert.Equal(t, NewReply("pong", "again"), got.reply)
	w.on(func() { assert.Equal(t, 1, l.running, "computations") })
}

// Callers that share the connection with somebody whose calls are too long go
// on, whichever call happens to come first.
func TestCallersBesideOneOverTheServersLimit(t *testing.T) {
	w := startInside(t, Limits{MaxFrame: 2000}, nil)
	client := clientOf(t, w.addr)
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for caller := range 10 {
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				text := fmt.Sprint(caller, i)
				reply, _, err := client.Call(within(t), "ping", text)
				if !assert.NoError(t, err) || !assert.Equal(t, NewReply("pong", text), reply) {
					return
				}
			}
		})
	}

	for range 10 {
		began := time.Now()
		_, _, err := client.Call(within(t), "ping", strings.Repeat("x", 50_000))
		var answer *ReplyError
		require.ErrorAs(t, err, &answer, "after %v", time.Since(began))
	}

	close(stop)
	callers.Wait()
}

// Many begin long requests and don't go on. The worker holds as much of them as
// the limit says; the longest are ended, and others don't notice.
func TestMaxUnfinished(t *testing.T) {
	const most, sent = 4 << 20, 900_000
	w := startInside(t, Limits{MaxUnfinished: most, FrameTimeout: time.Minute}, nil)
	good, small := w.dial(), w.dial()
	frame := harness.Frame(harness.Request("ping", strings.Repeat("x", 1_000_000)))
	small.Send(frame[:chunkSize])

	held := func() (sum int) {
		for c := range w.server.conns {
			sum += cap(c.decoder.kept)
		}
		return sum
	}
	var strangers []*harness.Conn
	for range 20 {
		c := w.dial()
		c.Send(frame[:sent])
		strangers = append(strangers, c)
		w.on(func() {
			own := chunkSize * len(w.server.conns)
			assert.LessOrEqual(t, held(), most+own, "bytes held")
			assert.LessOrEqual(t, w.server.limits.unfinished, most, "bytes counted")
		})
		w.ping(good)
	}
	// Four of them may be there, the last ones.
	for _, c := range strangers[:10] {
		reply := c.ReadReply()
		assert.Equal(t, "error", reply.Kind)
		assert.Contains(t, string(reply.Result), "not come in whole")
		c.WantEOF()
	}

	// A request that comes in whole is answered, however long, and so is the
	// small one in its time.
	good.Send(frame)
	assert.Equal(t, "pong", good.ReadReply().Kind)
	small.Send(frame[chunkSize:])
	assert.Equal(t, "pong", small.ReadReply().Kind)

	for _, c := range strangers {
		c.Close()
	}
	w.wantConns(2)
	w.on(func() { assert.Zero(t, w.server.limits.unfinished, "bytes counted") })
}

// Many hold a little, so that the end of many frees hardly anything. Even then
// one visit ends no more of them than a few.
func TestMaxUnfinishedEndsAFewAtATime(t *testing.T) {
	w := startInside(t, Limits{MaxUnfinished: 64 << 20}, nil)
	frame := harness.Frame(harness.Request("ping", strings.Repeat("x", 1_000_000)))
	const strangers = 3 * maxEnds
	var last *harness.Conn
	for range strangers {
		last = w.dial()
		last.Send(frame[:chunkSize+1])
	}
	w.eventually("a little from everyone", func() bool {
		holders := 0
		for c := range w.server.conns {
			if c.progress.held > 0 {
				holders++
			}
		}
		return holders == strangers
	})

	w.on(func() { w.server.limits.MaxUnfinished = 1 })
	last.Send(frame[chunkSize+1:][:1])
	w.eventually("an end", func() bool { return lingering(w) > 0 })
	w.on(func() { assert.Equal(t, maxEnds, lingering(w)) })
}

// A long request that waits for its turn counts until it is handled.
func TestMaxUnfinishedCountsWhatWaits(t *testing.T) {
	w := startInside(t, Limits{MaxUnfinished: 64 << 20}, nil)
	frame := harness.Frame(harness.Request("ping", strings.Repeat("x", 1_000_000)))
	var clients []*harness.Conn
	for range 3 {
		c := w.dial()
		c.Send(frame[:len(frame)-1])
		clients = append(clients, c)
	}
	w.eventually("all but the last bytes", func() bool {
		sum := 0
		for c := range w.server.conns {
			sum += c.decoder.Buffered()
		}
		return sum == 3*(len(frame)-1)
	})

	w.on(func() {
		for c := range w.server.conns {
			c.process(frame[len(frame)-1:])
		}
		assert.GreaterOrEqual(t, w.server.limits.unfinished, 3*(len(frame)-HeaderSize-chunkSize))
	})
	for _, c := range clients {
		c.WantPong(`"` + strings.Repeat("x", 1_000_000) + `"`)
	}
	w.on(func() { assert.Zero(t, w.server.limits.unfinished) })
}
