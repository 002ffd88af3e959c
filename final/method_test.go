// Tests of Handle: what it refuses, what its context says and when it ends, and
// that a method that takes its time keeps nobody waiting. And one of Func.

//go:build unix

package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// answered is the answer of a method, called m, to params.
func answered(m Method, params string) Reply {
	return Service{"m": m}.Call(Request{Method: "m", Params: json.RawMessage(params)})
}

// echoOf returns a Method that replies with its params.
func echoOf[P any]() Method {
	return Handle(func(_ context.Context, params P) (P, error) { return params, nil })
}

type point struct {
	X     int
	Label string
}

type blob []byte

// To a method without a kind a client takes any reply.
func TestKindsOfTheService(t *testing.T) {
	for method := range NewService() {
		assert.NotEmpty(t, kinds[method], method)
		assert.Error(t, check(method, NewReply("other", nil)), method)
	}
	assert.Len(t, kinds, len(NewService()))
}

func TestHandleDecodesParams(t *testing.T) {
	for _, c := range []struct {
		method Method
		params string
		want   string
	}{
		{echoOf[string](), `"text"`, `"text"`},
		{echoOf[int](), ` 7 `, `7`},
		{echoOf[*int](), `7`, `7`},
		{echoOf[[]float64](), `[1,2.5]`, `[1,2.5]`},
		{echoOf[map[string]bool](), `{"a":true}`, `{"a":true}`},
		{echoOf[json.RawMessage](), `{"a":[1, null]}`, `{"a":[1,null]}`},
		{echoOf[any](), `[true]`, `[true]`},
		{echoOf[point](), `{"X":1,"Label":"<a>"}`, `{"X":1,"Label":"<a>"}`},
		{echoOf[point](), `{"X":1,"Y":2}`, `{"X":1,"Label":""}`},
	} {
		reply := answered(c.method, c.params)
		assert.Equal(t, "m_r", reply.Kind, c.params)
		assert.Equal(t, c.want, string(reply.Result))
	}
}

func TestHandleRefusesOtherParams(t *testing.T) {
	for _, c := range []struct {
		method Method
		params string
		want   string
	}{
		{echoOf[string](), `null`, "params must be a string, not null"},
		{echoOf[*int16](), ` null`, "params must be a whole number from -32768 to 32767, not null"},
		{echoOf[any](), `null`, "params must be any JSON but null"},
		{echoOf[*any](), `null`, "params must be any JSON but null"},
		{echoOf[json.RawMessage](), `null`, "params must be any JSON but null"},
		{echoOf[fmt.Stringer](), `1`, "params must be a fmt.Stringer, not a JSON number"},
		{echoOf[time.Time](), `null`, "params must be a time.Time, not null"},
		{echoOf[[]byte](), `1`, "params must be a string, in base64, not a JSON number"},
		{echoOf[blob](), `1`, "params must be a string, in base64, not a JSON number"},
		{echoOf[string](), `1`, "params must be a string, not a JSON number"},
		{echoOf[string](), `["a"]`, "params must be a string, not a JSON array"},
		{echoOf[bool](), `"yes"`, "params must be true or false, not a JSON string"},
		{echoOf[int8](), `128`, "params must be a whole number from -128 to 127, not 128"},
		{echoOf[uint16](), `-1`, "params must be a whole number from 0 to 65535, not -1"},
		{echoOf[uint64](), `1.5`, "params must be a whole number from 0 on, not 1.5"},
		{echoOf[float32](), `{}`, "params must be a number, not a JSON object"},
		{echoOf[map[string]int](), `[]`, "params must be an object, not a JSON array"},
		{echoOf[point](), `"p"`, "params must be an object, not a JSON string"},
		{echoOf[point](), `{"Label":2}`, `"Label" in params must be a string, not a JSON number`},
		{echoOf[[]string](), `["a",true]`, "what is in params must be a string, not a JSON bool"},
		{echoOf[time.Time](), `"noon"`, "params must be a time.Time: parsing time"},
	} {
		reply := answered(c.method, c.params)
		var text string
		require.NoError(t, json.Unmarshal(reply.Result, &text))
		assert.Equal(t, "error", reply.Kind, c.params)
		assert.Contains(t, text, "m: "+c.want)
	}
	missing := Service{"m": echoOf[string]()}.Call(Request{Method: "m"})
	assert.Equal(t, `"m: \"params\" is missing"`, string(missing.Result))
}

func TestHandleRepliesWithErrors(t *testing.T) {
	refuse := Handle(func(context.Context, int) (int, error) { return 0, errors.New("not today") })
	assert.Equal(t, Reply{"error", json.RawMessage(`"m: not today"`)}, answered(refuse, "1"))
	noJSON := Handle(func(context.Context, int) (func(), error) { return func() {}, nil })
	reply := answered(noJSON, "1")
	assert.Equal(t, "error", reply.Kind)
	assert.Contains(t, string(reply.Result), "the result is not JSON")
}

// waiter has methods that wait until the test lets them go on.
type waiter struct {
	began chan context.Context
	goOn  chan struct{}
}

func newWaiter() waiter { return waiter{make(chan context.Context, 10), make(chan struct{}, 10)} }

func (w waiter) method() Method {
	return Handle(func(ctx context.Context, text string) (string, error) {
		w.began <- ctx
		select {
		case <-w.goOn:
			return text, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
}

func TestMethodThatTakesItsTimeKeepsNobodyWaiting(t *testing.T) {
	calls := newWaiter()
	w := startInside(t, Limits{}, Service{"wait": calls.method()})
	c, other := w.dial(), w.dial()

	c.SendRequest("wait", "one")
	c.SendRequest("ping", "behind it")
	other.SendRequest("wait", "two")
	receive(t, calls.began, "the first call")
	receive(t, calls.began, "the second call")
	w.ping(w.dial())
	w.wantSleep()

	calls.goOn <- struct{}{}
	calls.goOn <- struct{}{}
	c.WantReply("wait_r", `"one"`)
	c.WantPong(`"behind it"`)
	other.WantReply("wait_r", `"two"`)
}

// A Func's params share memory with other requests, which come alone and
// together.
func TestAFuncMayKeepItsParams(t *testing.T) {
	var kept []json.RawMessage
	w := startInside(t, Limits{}, Service{"keep": Func(func(params json.RawMessage) (Reply, error) {
		kept = append(kept, params)
		return NewReply("kept", len(kept)), nil
	})})
	c := w.dial()

	var want []string
	for _, together := range []int{1, 1, 3, 1, 3} {
		var frames []byte
		for range together {
			params := fmt.Sprintf(`"the %dth"`, len(want))
			want = append(want, params)
			frames = append(frames, harness.Frame(`{"in":"keep","params":`+params+`}`)...)
		}

		c.Send(frames)
		for n := len(want) - together; n < len(want); n++ {
			c.WantReply("kept", fmt.Sprint(n+1))
		}
	}

	w.on(func() {
		require.Len(t, kept, len(want))
		for i, params := range kept {
			assert.Equal(t, want[i], string(params))
		}
	})
}

func TestContextOfACall(t *testing.T) {
	calls := newWaiter()
	w := startInside(t, Limits{}, Service{"wait": calls.method()})
	conn, err := net.Dial("tcp", w.addr)
	require.NoError(t, err)
	_, err = conn.Write(harness.Frame(harness.Request("wait", "")))
	require.NoError(t, err)

	ctx := receive(t, calls.began, "the call")
	assert.Equal(t, conn.LocalAddr().String(), PeerAddr(ctx).String())
	assert.NoError(t, ctx.Err())
	require.NoError(t, conn.(*net.TCPConn).SetLinger(0)) // a reset
	conn.Close()
	receive(t, ctx.Done(), "the end of its context")
	assert.ErrorIs(t, ctx.Err(), context.Canceled)
	w.wantConns(0)

	c := w.dial()
	c.SendRequest("wait", "")
	ctx = receive(t, calls.began, "another call")
	calls.goOn <- struct{}{}
	c.WantReply("wait_r", `""`)
	receive(t, ctx.Done(), "the end of its context, too")

	assert.Equal(t, netip.AddrPort{}, PeerAddr(context.Background()))
}

// A caller who has closed the sending side waits for the answer.
func TestContextOfAHalfClosedConnection(t *testing.T) {
	calls := newWaiter()
	w := startInside(t, Limits{}, Service{"wait": calls.method()})
	c := w.dial()
	c.SendRequest("wait", "still here")
	c.CloseWrite()
	ctx := receive(t, calls.began, "the call")
	w.ping(w.dial())
	assert.NoError(t, ctx.Err())
	calls.goOn <- struct{}{}
	c.WantReply("wait_r", `"still here"`)
	c.WantEOF()
}

func TestMethodThatBreaks(t *testing.T) {
	log := harness.CaptureLog(t)
	w := startInside(t, Limits{}, Service{
		"panic": Handle(func(context.Context, int) (int, error) { panic("for a test") }),
		"exit":  Handle(func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }),
	})
	c := w.dial()
	c.SendRequest("panic", 1)
	c.WantReply("error", `"internal error"`)
	assert.Contains(t, log(), "for a test")
	assert.Contains(t, log(), "method_test.go", "the stack")
	c.SendRequest("exit", 1)
	c.WantReply("error", `"internal error"`)
	w.ping(c)
}
