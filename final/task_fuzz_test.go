// Fuzzing of tasks: a worker that computes in steps gives every request the one
// answer that the plain service gives it.

//go:build unix

package rpc

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTasks: a dispatcher answers any body, once, and as the service does.
func FuzzTasks(f *testing.F) {
	for _, body := range []string{
		`{"in":"pi","params":0}`, `{"in":"pi","params":93}`, `{"in":"pi","params":9999}`,
		`{"in":"pi","params":100000000}`, `{"in":"pi","params":-1}`,
		`{"in":"pi","params":null}`, `{"in":"pi","params":1.0}`, `{"in":"pi"}`, `{"in":"ping","params":[ 1 ]}`,
		`{"in":"ping"}`, `{"in":"pong","params":1}`,
		`{"in":"pi","params":1,"in":"ping"}`, `{"params":1}`, `{}`, `null`, `{`, ``,
	} {
		f.Add([]byte(body))
	}

	poller, err := NewPoller()
	require.NoError(f, err)
	loop, err := NewLoop(poller)
	require.NoError(f, err)
	f.Cleanup(loop.release)

	// To compute for long would find nothing more. So the terms are few, and
	// how many steps they take has nothing to do with time.
	few := func(params json.RawMessage) (json.RawMessage, error) {
		n, err := PiTerms(params)
		return json.RawMessage(strconv.Itoa(n % 1000)), err
	}

	service := NewService()
	service["pi"] = Func(func(params json.RawMessage) (Reply, error) {
		params, err := few(params)
		if err != nil {
			return Reply{}, err
		}
		return Pi(params)
	})

	inSteps := Service{"ping": Func(Ping), "pi": TaskMethod(func(params json.RawMessage) (Task, error) {
		params, err := few(params)
		if err != nil {
			return nil, err
		}
		n, err := PiTerms(params)
		steps := n % 5
		return func() (Reply, bool) {
			steps--
			return NewReply("pi_r", PiSum(n)), steps < 0
		}, err
	})}

	tasks := newDispatcher(context.Background(), loop, inSteps)
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &Conn{server: &Server{}, unanswered: true, processing: true} // as in a visit; nothing is sent
		tasks.handle(c, body)
		for tasks.underWay() > 0 {
			require.True(t, c.unanswered)
			require.Empty(t, c.out)
			loop.runPosted(Readable)
		}
		require.False(t, c.unanswered)
		require.Equal(t, AppendFrame(nil, service.Answer(body).Append(nil)), c.out)
	})
}
