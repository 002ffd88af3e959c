// Tests of the looks at a server that owes replies, made by the test in the
// place of the reader: what one call or one idle time leaves for the next.

package main

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A looked pipe owes nothing yet, writes nothing, and looks only when the test
// has it look.
type looked struct {
	*pipe
	t    *testing.T
	conn *timed
}

// A timed connection knows when its reader is to wake up; zero: never.
type timed struct {
	net.Conn
	deadline time.Time
}

func (c *timed) SetReadDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

func startLooked(t *testing.T) looked {
	p := newPipe(&remote{})
	t.Cleanup(p.cancel)
	conn := &timed{}
	p.conn = conn
	return looked{p, t, conn}
}

// call makes a call that counts as written.
func (w looked) call() chan outcome {
	outcomes := make(chan outcome, 2)
	w.send(&attempt{remote: w.remote, pipe: w.pipe, frame: []byte("a call"), outcomes: outcomes})
	w.take(nil)
	return outcomes
}

// lookOften looks n times.
func (w looked) lookOften(n int) {
	w.t.Helper()
	for range n {
		require.NoError(w.t, w.look())
	}
}

// pong has the server answer.
func (w looked) pong() {
	w.t.Helper()
	require.NoError(w.t, w.answer([]byte(`{"out":"pong","result":1}`)))
}

// A server that takes its time for each of several calls is not silent,
// however long nobody calls it in between.
func TestEachCallHasAllTheTimeUntilSilence(t *testing.T) {
	w := startLooked(t)
	for range 5 {
		outcomes := w.call()
		w.lookOften(maxQuiet)
		require.Empty(t, outcomes)
		w.pong()
		require.False(t, (<-outcomes).warning)
		w.lookOften(1) // it is idle
	}

	outcomes := w.call()
	w.lookOften(maxQuiet + 1)
	require.Len(t, outcomes, 1)
	assert.True(t, (<-outcomes).warning)
}

// What a server did for an earlier call says nothing about now.
func TestProgressOfAnEarlierCallIsForgotten(t *testing.T) {
	w := startLooked(t)
	w.call()
	w.pong()
	w.lookOften(1)

	w.remote.lively.Store(0)
	w.call()
	w.lookOften(1)
	assert.Zero(t, w.remote.lively.Load(), "it has not answered since")
}

// An idle connection is not looked at. The next call begins to look again.
func TestLooksEndAndBeginAgain(t *testing.T) {
	w := startLooked(t)
	w.call()
	assert.NotZero(t, w.conn.deadline)
	w.pong()
	w.lookOften(1)
	assert.Zero(t, w.conn.deadline, "it would wake up for nothing")

	w.call()
	assert.InDelta(t, silence/maxQuiet, time.Until(w.conn.deadline), 2e8, "nanoseconds until the next look")
}
