// Tests of what a call does here that it doesn't in its chapter: it gives up
// what is the same everywhere, believes no reply that can't be its own, and
// says why it ended.

//go:build unix

package rpc

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// fixed is a Discovery of servers that never change.
type fixed []string

func (f fixed) Watch(ctx context.Context, publish func(Snapshot)) {
	publish(Snapshot{Servers: f})
	<-ctx.Done()
}

// newListed returns a client that knows these servers.
func newListed(t *testing.T, servers ...string) *Client {
	t.Helper()
	client := NewClient(fixed(servers))
	t.Cleanup(client.Close)
	require.NoError(t, client.Wait(t.Context(), len(servers)))
	return client
}

func sayPong(conn net.Conn, _ []byte) error {
	_, err := conn.Write(harness.Frame(`{"out":"pong","result":"yes"}`))
	return err
}

func ignore(net.Conn, []byte) error { return nil }

// sayTooMuch announces a reply that is longer than a client takes.
func sayTooMuch(conn net.Conn, _ []byte) error {
	_, err := conn.Write([]byte{1, 0x10, 0x10, 0})
	return err
}

// A reply that is longer than we take may be a server's mistake. But when a
// second server answers so, too, there is no use in asking again and again.
func TestCallWhoseReplyIsTooLong(t *testing.T) {
	a, b := harness.StartStub(t, "", sayTooMuch), harness.StartStub(t, "", sayTooMuch)
	client := newListed(t, a.Addr, b.Addr)
	_, _, err := client.Call(within(t), "ping", 1)
	var tooLong *FrameTooLongError
	assert.ErrorAs(t, err, &tooLong)
	assert.NotErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, 2, a.Requests()+b.Requests(), "requests")

	ok := harness.StartStub(t, "", sayPong)
	for range 10 {
		client := newListed(t, a.Addr, ok.Addr)
		_, server, err := client.Call(within(t), "ping", 1)
		require.NoError(t, err)
		require.Equal(t, ok.Addr, server)
	}
}

// A server that sends one reply too many: the client must not take it for the
// answer to the next call.
func TestRepliesThatAreOutOfStep(t *testing.T) {
	odd := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
		request, err := ParseRequest(body)
		if err != nil {
			return err
		}
		reply := harness.Frame(`{"out":"pong","result":"one of two"}`)
		if request.Method == "pi" {
			reply = harness.Frame(`{"out":"pi_r","result":3}`)
		}
		_, err = conn.Write(append(reply, reply...))
		return err
	})
	client := newListed(t, odd.Addr)
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() {
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				reply, _, err := client.Call(ctx, "pi", 1)
				if err == nil {
					assert.Equal(t, "pi_r", reply.Kind)
				}
				reply, _, err = client.Call(ctx, "ping", 1)
				if err == nil {
					assert.Equal(t, "pong", reply.Kind)
				}
				cancel()
			}
		})
	}
	callers.Wait()
}

// A reply that comes in the moment in which the call ends is the answer. One
// that can't be the answer is none, and its connection is of no more use.
func TestReplyAtTheEndOfACall(t *testing.T) {
	p := newPipe(&remote{})
	defer p.cancel()
	end := func(reply Reply) (outcome, error) {
		a := &attempt{remote: p.remote, pipe: p}
		e := &errand{client: &Client{}, method: "ping", outcomes: make(chan outcome, 2), open: []*attempt{a}}
		e.outcomes <- outcome{attempt: a, warning: true}
		e.outcomes <- outcome{attempt: a, reply: reply, written: true}
		return e.lastAnswer(context.DeadlineExceeded)
	}

	o, err := end(Reply{Kind: "pong"})
	require.NoError(t, err)
	assert.Equal(t, "pong", o.reply.Kind)
	require.NoError(t, p.err)

	_, err = end(Reply{Kind: "pi_r"})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, p.err, "out of step")
}

func TestContextWithACause(t *testing.T) {
	client := newListed(t, harness.StartStub(t, "", ignore).Addr)
	cause := errors.New("the user went home")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
	defer cancel()
	_, _, err := client.Call(ctx, "ping", 1)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorIs(t, err, cause)
	assert.ErrorIs(t, client.Wait(ctx, 2), context.DeadlineExceeded)
}

func TestReplyThatIsTooLong(t *testing.T) {
	requests := 0
	stub := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
		requests++
		if requests < 2 {
			return nil
		}
		return sayTooMuch(conn, body)
	})
	r := &remote{addr: stub.Addr}
	t.Cleanup(r.retire)
	first, second := make(chan outcome, 2), make(chan outcome, 2)
	r.start(pingFrame, first)
	r.start(pingFrame, second)

	o := receive(t, first, "the first outcome")
	var long *FrameTooLongError
	assert.ErrorAs(t, o.err, &long)
	assert.True(t, o.tooLong)
	o = receive(t, second, "the second outcome")
	assert.Error(t, o.err)
	assert.False(t, o.tooLong, "the one behind it is not to blame")
}
