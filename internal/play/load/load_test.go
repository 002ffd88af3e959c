// Tests of the callers, with a pretended server.

package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A pretended caller answers, or fails.
type pretended struct {
	mu    sync.Mutex
	fails bool
}

func (p *pretended) Call(_ context.Context, _ int, method string, params any) (json.RawMessage, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails {
		return nil, "b:2", errors.New("refused")
	}
	if method == "ping" {
		echo, err := json.Marshal(params)
		return echo, "a:1", err
	}
	n := float64(params.(int))
	result, err := json.Marshal(math.Pi - 1/(math.Pi*(n+1)))
	return result, "a:1", err
}

func TestReports(t *testing.T) {
	caller := &pretended{}
	l := New(caller)
	l.Set(Settings{Callers: 2, Pause: time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	stage := 0
	l.Run(ctx, func(r Report) {
		switch {
		case stage == 0 && r.Answered["a:1"] > 10:
			assert.Empty(t, r.Failed)
			assert.NotEmpty(t, r.Points)
			assert.LessOrEqual(t, r.Outstanding, 2)
			caller.mu.Lock()
			caller.fails = true
			caller.mu.Unlock()
			stage = 1

		case stage == 1 && r.Failed["b:2"] > 0 && r.Answered == nil:
			assert.Equal(t, "refused", r.Trouble)
			l.Set(Settings{})
			stage = 2

		case stage == 2 && r.Failed == nil && r.Outstanding == 0:
			stage = 3
			cancel()
		}
	})
	assert.Equal(t, 3, stage)
}

func TestTermsGrowAndBeginAnew(t *testing.T) {
	assert.Equal(t, 1, terms(0))
	for round := 1; ; round++ {
		n := terms(round)
		require.LessOrEqual(t, n, largestN)
		if n == 1 {
			break
		}
		assert.Greater(t, n, terms(round-1))
	}
	assert.Equal(t, longTerms, Long(0))
	assert.Equal(t, longTerms, Long(1e9))
	assert.Equal(t, 300_000, Long(1e6))
}

func TestPlain(t *testing.T) {
	p := NewPlain()
	_, _, err := p.Call(t.Context(), 0, "ping", 1)
	assert.EqualError(t, err, "no server is listed")

	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go io.Copy(conn, conn) // a request is no reply, and has no "out"
		}
	}()

	p.List([]string{listener.Addr().String()})
	for range 3 {
		result, server, err := p.Call(t.Context(), 0, "ping", "x")
		require.NoError(t, err)
		assert.Empty(t, result)
		assert.Equal(t, listener.Addr().String(), server)
	}
	assert.Len(t, p.conns, 1, "one connection for three calls")
	p.Close()
	assert.Empty(t, p.conns)
}
