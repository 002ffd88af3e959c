// Tests of what a program may set of a client, and see of its servers.

//go:build unix

package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

func TestCallInto(t *testing.T) {
	stub := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
		request, err := ParseRequest(body)
		if err != nil {
			return err
		}
		reply := Reply{Kind: "sum_r", Result: request.Params}
		if request.Method == "refuse" {
			reply = ErrorReply(fmt.Errorf("not today"))
		}
		_, err = conn.Write(AppendFrame(nil, reply.Append(nil)))
		return err
	})
	client := newListed(t, stub.Addr)

	var numbers []int
	require.NoError(t, client.CallInto(within(t), "sum", []int{1, 2}, &numbers))
	assert.Equal(t, []int{1, 2}, numbers)

	var text string
	err := client.CallInto(within(t), "sum", []int{1, 2}, &text)
	var wrongType *json.UnmarshalTypeError
	assert.ErrorAs(t, err, &wrongType)
	assert.ErrorContains(t, err, "sum: the result from "+stub.Addr)

	err = client.CallInto(within(t), "refuse", 1, &text)
	var answer *ReplyError
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, ReplyError{Server: stub.Addr, Message: "not today"}, *answer)
	assert.Empty(t, text)
}

// What a server says in an error reply may be anything.
func TestMessageOfAnErrorReply(t *testing.T) {
	for result, message := range map[string]string{
		`"two \"words\"\n"`: "two \"words\"\n",
		`""`:                "",
		`{"code":7}`:        `{"code":7}`,
		`null`:              "null",
	} {
		err := replyError("host:1", Reply{Kind: "error", Result: json.RawMessage(result)})
		assert.Equal(t, &ReplyError{Server: "host:1", Message: message}, err)
	}
	assert.NoError(t, replyError("host:1", Reply{Kind: "pong", Result: json.RawMessage("1")}))
}

func TestOptionMethodsThatMayRunTwice(t *testing.T) {
	var options ClientOptions
	assert.True(t, options.mayRunTwice("pi"))
	assert.False(t, options.mayRunTwice("add"))
	options.Idempotent = func(method string) bool { return method == "add" }
	assert.False(t, options.mayRunTwice("pi"))
	assert.True(t, options.mayRunTwice("add"))
}

func TestOptionSilence(t *testing.T) {
	client := newListed(t, harness.StartStub(t, "", ignore).Addr)
	client.Silence = 200 * time.Millisecond
	began := time.Now()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(within(t))
	go func() {
		_, _, err := client.Call(ctx, "ping", 1)
		ended <- err
	}()

	harness.Eventually(t, soon, "a server that is set aside", func() (bool, string) {
		stats := client.Stats()[0]
		return stats.SetAside && stats.Outstanding == 1, fmt.Sprint(stats)
	})
	assert.Less(t, time.Since(began), silence, "the default")
	cancel()
	assert.ErrorIs(t, receive(t, ended, "the end of the call"), context.Canceled)
}

func TestOptionDial(t *testing.T) {
	stub := harness.StartStub(t, "", sayPong)
	client := newListed(t, "the-server")
	var dialed atomic.Int64
	client.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		dialed.Add(1)
		if addr != "the-server" {
			return nil, fmt.Errorf("no such server: %s", addr)
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", stub.Addr)
		return struct{ net.Conn }{conn}, err // not a connection of which we know more
	}

	for range 3 {
		_, server, err := client.Call(within(t), "ping", 1)
		require.NoError(t, err)
		assert.Equal(t, "the-server", server)
	}
	assert.Equal(t, int64(1), dialed.Load())
}

func TestOptionChoose(t *testing.T) {
	const calls = 30
	var servers []string
	for range 3 {
		servers = append(servers, harness.StartStub(t, "", sayPong).Addr)
	}
	slices.Sort(servers)
	client := newListed(t, servers...)
	turn := 0
	client.Choose = func(ready []ServerStats) int { // one after the other
		assert.Len(t, ready, len(servers))
		byAddr := func(a, b ServerStats) int { return strings.Compare(a.Addr, b.Addr) }
		assert.True(t, slices.IsSortedFunc(ready, byAddr))
		turn++
		return turn % len(ready)
	}

	for range calls {
		_, _, err := client.Call(within(t), "ping", 1)
		require.NoError(t, err)
	}
	for _, stats := range client.Stats() {
		assert.Equal(t, int64(calls/len(servers)), stats.Answered, stats.Addr)
	}
}

// Who chooses is asked only about servers that have room, and whoever finds
// none waits as always.
func TestOptionChooseAmongFullServers(t *testing.T) {
	b := newBalance("a", "b")
	b.options = &ClientOptions{Choose: func(ready []ServerStats) int { return len(ready) - 1 }}
	for range firstWindow {
		assert.Equal(t, "b", takeNow(t, b).addr)
	}
	for range firstWindow {
		assert.Equal(t, "a", takeNow(t, b).addr, "the only one with room")
	}

	_, ticket, err := b.take(nil)
	require.NoError(t, err)
	require.NotNil(t, ticket)
	answer(b.remotes["a"], 0)
	assert.Equal(t, "a", receive(t, ticket.turn, "room").addr)
}

func TestStats(t *testing.T) {
	good, bad := harness.StartStub(t, "", sayPong), harness.StartStub(t, "", func(net.Conn, []byte) error {
		return net.ErrClosed
	})
	client := newListed(t, good.Addr, bad.Addr)
	assert.Equal(t, []ServerStats{{Addr: good.Addr}, {Addr: bad.Addr}}, client.Stats())

	client.Choose = func(ready []ServerStats) int { // the bad one as long as it is not set aside
		return max(0, slices.IndexFunc(ready, func(s ServerStats) bool { return s.Addr == bad.Addr }))
	}
	_, server, err := client.Call(within(t), "ping", 1)
	require.NoError(t, err)
	assert.Equal(t, good.Addr, server)
	assert.Equal(t, []ServerStats{
		{Addr: good.Addr, Answered: 1},
		{Addr: bad.Addr, Failed: 1, SetAside: true},
	}, client.Stats())
}
