// Tests of the time limits: who is cut off, when, and what they are told; and
// who is not.

//go:build unix

package rpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

func TestIdleTimeout(t *testing.T) {
	const timeout = 100 * time.Millisecond
	w := startInside(t, Limits{IdleTimeout: timeout}, nil)
	began := time.Now()
	silent, half := w.dial(), w.dial()
	half.Send(harness.Frame(harness.Request("ping", 1))[:10])
	var conns []*Conn
	w.eventually("two connections", func() bool {
		conns = slices.Collect(maps.Keys(w.server.conns))
		return len(conns) == 2
	})
	silent.WantEOF()
	assert.GreaterOrEqual(t, time.Since(began), timeout)
	half.WantEOF()
	w.on(func() {
		for _, conn := range conns {
			assert.Equal(t, stateLingering, conn.state, "what they send just now must not reset them")
		}
	})
	silent.Close()
	half.Close()

	used := w.dial()
	began = time.Now()
	w.ping(used)
	used.WantEOF()
	assert.GreaterOrEqual(t, time.Since(began), timeout)
	used.Close()
	w.wantConns(0)
}

// Calls keep a connection, and so does one that is still being answered.
func TestIdleTimeoutSparesTheBusy(t *testing.T) {
	const timeout = 600 * time.Millisecond
	l := &lab{}
	w := startInside(t, Limits{IdleTimeout: timeout}, l.methods())
	calling, waiting, silent := w.dial(), w.dial(), w.dial()
	waiting.SendRequest("compute", 1)

	began := time.Now()
	for time.Since(began) < 2*timeout {
		w.ping(calling)
		w.pass(timeout / 20)
	}

	silent.WantEOF() // all that time was enough for this one
	silent.Close()
	w.ping(calling)

	w.on(func() { l.finish = true })
	waiting.WantReply("computed", "1")
	w.pass(timeout * 3 / 8) // its time begins with the answer
	w.ping(waiting)
}

func TestFrameTimeout(t *testing.T) {
	const timeout = 100 * time.Millisecond
	w := startInside(t, Limits{FrameTimeout: timeout}, nil)
	frame := harness.Frame(harness.Request("ping", 1))
	silent := w.dial()

	for _, cut := range []int{1, HeaderSize, len(frame) - 1} {
		c := w.dial()
		w.ping(c)
		began := time.Now()
		c.Send(frame[:cut])
		c.WantReply("error", `"the request did not come in whole in time"`)
		c.WantEOF()
		assert.GreaterOrEqual(t, time.Since(began), timeout)
		c.Close()
	}

	// Drop by drop is no whole frame either.
	drops := w.dial()
	drops.Timeout = soon
	long := harness.Frame(harness.Request("ping", strings.Repeat("x", 1000)))
	ended := make(chan bool)
	go func() {
		for i := range len(long) - 1 {
			select {
			case <-ended:
				return
			case <-time.After(timeout / 10):
				_ = drops.TrySend(long[i : i+1])
			}
		}
	}()

	drops.WantError()
	drops.WantEOF()
	close(ended)
	w.ping(silent) // which had no frame to finish
}

// Frames of which each comes in time, cut anywhere, however many.
func TestFrameTimeoutIsForEachFrame(t *testing.T) {
	const timeout = 400 * time.Millisecond
	w := startInside(t, Limits{FrameTimeout: timeout}, nil)
	c := w.dial()
	frame := harness.Frame(harness.Request("ping", 1))
	c.Send(frame[:10])
	for began := time.Now(); time.Since(began) < 2*timeout; {
		w.pass(timeout / 20)
		c.Send(slices.Concat(frame[10:], frame[:10])) // there is always half a frame
		c.WantPong("1")
	}
	c.Send(frame[10:])
	c.WantPong("1")
}

// A computation takes longer than a frame may, and the frames behind it have
// come in long ago.
func TestFrameTimeoutDoesNotCountWhileTheServerIsBusy(t *testing.T) {
	const timeout = 300 * time.Millisecond
	l := &lab{}
	w := startInside(t, Limits{FrameTimeout: timeout}, l.methods())

	c := w.dial()
	ping := harness.Frame(harness.Request("ping", 1))
	c.Send(slices.Concat(harness.Frame(harness.Request("compute", 1)), ping, ping[:10]))
	w.eventually("a computation", func() bool { return w.tasks.underWay() == 1 })

	w.pass(2 * timeout)
	w.on(func() { l.finish = true })
	c.Send(ping[10:])
	c.WantReply("computed", "1")
	c.WantPong("1")
	c.WantPong("1")
}

// dialSmall connects with buffers so small, at both ends, that hardly anything
// fits in between.
func (w *inside) dialSmall() *harness.Conn {
	w.t.Helper()
	w.on(func() {
		for _, buffer := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} {
			assert.NoError(w.t, unix.SetsockoptInt(w.server.listener, unix.SOL_SOCKET, buffer, 4096))
		}
	})
	return harness.DialSmall(w.t, w.addr)
}

// deaf connects a client that has sent n calls and reads nothing, so that the
// server can't send what it has to say.
func (w *inside) deaf(n int) (*harness.Conn, *Conn) {
	w.t.Helper()
	c := w.dialSmall()
	frame := harness.Frame(harness.Request("ping", strings.Repeat("x", 1000)))
	go func() { _ = c.TrySend(slices.Repeat(frame, n)) }()
	var conn *Conn
	w.eventually("a reply that can't be sent, and half a request", func() bool {
		for open := range w.server.conns {
			if len(open.out) > 0 && open.decoder.Buffered() > 0 {
				conn = open
			}
		}
		return conn != nil
	})
	return c, conn
}

// That half a request stays half is the server's doing: it doesn't read while
// there is something to send.
func TestFrameTimeoutDoesNotCountWhileTheClientDoesNotRead(t *testing.T) {
	const timeout, calls = 300 * time.Millisecond, 200
	w := startInside(t, Limits{FrameTimeout: timeout}, nil)
	c, _ := w.deaf(calls)
	w.pass(2 * timeout)
	for range calls {
		reply := c.ReadReply()
		require.Equal(t, "pong", reply.Kind, "%s", reply.Result)
	}
	w.ping(c)
}

func TestIdleTimeoutCutsWhoDoesNotRead(t *testing.T) {
	w := startInside(t, Limits{IdleTimeout: 100 * time.Millisecond}, nil)
	c, conn := w.deaf(500)
	w.wantConns(0)
	w.on(func() { assert.Equal(t, stateClosed, conn.state, "there is no telling it") })
	w.wantSleep()
	for err := error(nil); err == nil; {
		_, err = c.TryReply() // what was on its way, and then the end
	}
}

// One that takes its replies slowly, but does take them, gets every one,
// although all of them together take it longer than the timeout.
func TestIdleTimeoutSparesWhoReadsSlowly(t *testing.T) {
	const timeout, calls = 400 * time.Millisecond, 60
	text := strings.Repeat("x", 1000)
	w := startInside(t, Limits{IdleTimeout: timeout}, Service{
		"read": Func(func(json.RawMessage) (Reply, error) { return NewReply("text", text), nil }),
	})
	c := w.dialSmall()
	c.Send(slices.Repeat(harness.Frame(harness.Request("read", 1)), calls)) // one chunk, and all at once in out

	for read := range calls {
		reply, err := c.TryReply()
		require.NoError(t, err, "after %d replies", read)
		require.Equal(t, "text", reply.Kind)
		w.pass(timeout / 20)
	}
}

func TestLimitsSweepAFewTimesPerTimeout(t *testing.T) {
	for _, c := range []struct{ idle, frame, want time.Duration }{
		{0, 0, 0},
		{time.Second, 0, 250 * time.Millisecond},
		{0, time.Second, 250 * time.Millisecond},
		{time.Minute, time.Second, 250 * time.Millisecond},
		{time.Second, time.Minute, 250 * time.Millisecond},
		{time.Nanosecond, 0, minTimeout / 4},
		{0, time.Microsecond, minTimeout / 4},
	} {
		lim := &limiter{Limits: Limits{IdleTimeout: c.idle, FrameTimeout: c.frame}}
		lim.setPeriod()
		assert.Equal(t, c.want, lim.period, fmt.Sprint(c))
	}
}

// A timeout that is too short to be meant is a timeout all the same, and
// doesn't keep the worker busy.
func TestTinyTimeouts(t *testing.T) {
	for _, tiny := range []time.Duration{1, 3, time.Microsecond} {
		began := time.Now()
		w := startInside(t, Limits{IdleTimeout: tiny, FrameTimeout: time.Hour}, nil)
		c := w.dial()
		w.wantSleep()
		c.WantEOF()
		assert.GreaterOrEqual(t, time.Since(began), minTimeout)
	}
}

// A worker that stands still for longer than the timeouts, as one that is
// stopped does, is the only one who is late: what came in meanwhile is
// answered. It finds its timers due before it has read anything.
func TestTimeoutsOfAWorkerThatStoodStill(t *testing.T) {
	const timeout = 400 * time.Millisecond
	w := startInside(t, Limits{IdleTimeout: timeout, FrameTimeout: timeout}, nil)
	short := harness.Frame(harness.Request("ping", 1))
	long := harness.Frame(harness.Request("ping", strings.Repeat("x", 600_000)))

	// Connections of every age, so that some are about to be late.
	var idle, half, longHalf []*harness.Conn
	for range 60 {
		idle = append(idle, w.dial())
		half = append(half, w.dial())
		half[len(half)-1].Send(short[:10])
		if len(idle)%10 == 0 {
			longHalf = append(longHalf, w.dial())
			longHalf[len(longHalf)-1].Send(long[:10])
		}
		w.pass(timeout / 60)
	}
	blocked, release := make(chan int), make(chan bool)
	w.Post(func() {
		alive := 0
		for c := range w.server.conns {
			if c.state == stateOpen {
				alive++
			}
		}
		blocked <- alive
		<-release
	})
	alive := receive(t, blocked, "the loop to stand still")
	require.Greater(t, alive, len(longHalf))

	standing := time.NewTimer(2 * timeout)
	for _, c := range idle {
		_ = c.TrySend(short)
	}
	for _, c := range half {
		_ = c.TrySend(short[10:])
	}
	for _, c := range longHalf {
		_ = c.TrySend(long[10:])
	}
	<-standing.C
	close(release)

	answered := 0
	for _, c := range slices.Concat(idle, half, longHalf) {
		reply, err := c.TryReply()
		if err == nil && reply.Kind == "pong" {
			answered++
		}
	}
	assert.Equal(t, alive, answered, "of the connections that were open")
}

// What has arrived and isn't read yet decides whether a connection is late: the
// rest of its request, or just another byte, of which there may always be one
// when the loop is busy.
func TestTimeoutsLookAtWhatHasArrived(t *testing.T) {
	frame := harness.Frame(harness.Request("ping", strings.Repeat("x", 2*chunkSize)))
	for _, c := range []struct {
		what     string
		begun    int // bytes that are read
		arrived  int // bytes that are not
		answered bool
	}{
		{"a byte", 10, 1, false},
		{"the rest", len(frame) - 5, 5, true},
		{"a chunk, and no more", 10, chunkSize, false},
		{"the rest, in more than one chunk", 10, len(frame) - 10, true},
	} {
		w := startInside(t, Limits{FrameTimeout: time.Hour}, nil)
		stranger := w.dial()
		stranger.Send(frame[:c.begun])

		var conn *Conn
		w.eventually("the beginning of a request", func() bool {
			for conn = range w.server.conns {
				return conn.decoder.Buffered() == c.begun
			}
			return false
		})

		w.on(func() {
			_ = stranger.TrySend(frame[c.begun:][:c.arrived])
			for n := 0; n < c.arrived; n, _ = unread(conn.fd) {
				continue
			}
			conn.progress.partial = 2 * sweepsPerTimeout
			w.server.limits.end(conn)
		})

		if c.answered {
			assert.Equal(t, "pong", stranger.ReadReply().Kind, c.what)
		} else {
			assert.Equal(t, "error", stranger.ReadReply().Kind, c.what)
		}
	}
}

// A request that has come in whole and isn't handled yet is the server's to
// answer, whatever its connection's age.
func TestTimeoutsLookAtWhatIsReadAlready(t *testing.T) {
	for _, state := range []connState{stateOpen, stateDraining} {
		w := startInside(t, Limits{IdleTimeout: time.Hour}, nil)
		stranger := w.dial()
		w.wantConns(1)
		w.on(func() {
			for conn := range w.server.conns {
				conn.decoder.Feed(harness.Frame(harness.Request("ping", 1)))
				conn.state = state
				conn.flush() // it goes on in the next turn
				conn.progress.idle = 2 * sweepsPerTimeout
				w.server.limits.end(conn)
			}
		})
		stranger.WantPong("1")
	}
}

// Hundreds are late at the same moment: they are not all ended in one turn.
func TestTimeoutsDoNotHoldUpTheLoop(t *testing.T) {
	w := startInside(t, Limits{FrameTimeout: 200 * time.Millisecond}, nil)
	conns := make([]*harness.Conn, 5*maxEnds)
	for i := range conns {
		conns[i] = w.dial()
	}
	w.wantConns(len(conns))

	half := harness.Frame(harness.Request("ping", 1))[:10]
	for _, c := range conns {
		c.Send(half)
	}

	most := make(chan int, 1)
	w.on(func() { countEnds(w, 0, 0, most) })
	for _, c := range conns {
		c.WantError()
		c.WantEOF()
	}
	assert.LessOrEqual(t, receive(t, most, "the last one's end"), maxEnds, "ends in one turn")
}

// countEnds looks at each turn how many connections linger more than before,
// and reports the most when all do.
func countEnds(w *inside, before, most int, report chan<- int) {
	ended := lingering(w)
	most = max(most, ended-before)
	if ended == len(w.server.conns) {
		report <- most
		return
	}
	w.Post(func() { countEnds(w, ended, most, report) })
}

// lingering returns how many connections linger. It belongs to the loop.
func lingering(w *inside) (n int) {
	for c := range w.server.conns {
		if c.state == stateLingering {
			n++
		}
	}
	return n
}
