// Tests of one server that is silent, as the client sees it: what counts as
// silence, and that nothing is thrown away that could still be answered.

package main

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// observed is an attempt, with its outcomes.
type observed struct {
	*attempt
	t        *testing.T
	outcomes chan outcome
}

func observe(t *testing.T, r *remote, frame []byte) observed {
	outcomes := make(chan outcome, 2)
	return observed{r.start(frame, outcomes), t, outcomes}
}

// next returns the next outcome.
func (w observed) next() outcome {
	w.t.Helper()
	select {
	case o := <-w.outcomes:
		return o
	case <-time.After(10 * time.Second):
		require.FailNow(w.t, "an attempt without outcome")
		panic("not reached")
	}
}

func (w observed) wantSilence() {
	w.t.Helper()
	o := w.next()
	require.True(w.t, o.warning, "the server is silent, not %+v", o)
}

func TestSilentServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	began := time.Now()
	first := observe(t, r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	second := observe(t, r, ping("2"))
	conn.want("2")
	first.wantSilence()
	second.wantSilence()
	assert.InDelta(t, silence.Seconds(), time.Since(began).Seconds(), 1, "seconds until then")

	assert.True(t, r.silent.Load(), "it gets no new calls")
	o := observe(t, r, ping("3")).next()
	assert.ErrorIs(t, o.err, errSilent, "not even one that chose it before")
	assert.False(t, o.written)

	conn.reply("1") // it has only been slow
	o = first.next()
	require.NoError(t, o.err)
	assert.Equal(t, `"1"`, string(o.reply.Result))
	assert.False(t, r.silent.Load(), "it is as good as any")
	conn.reply("2")
	require.NoError(t, second.next().err)
}

func TestSilentConnectionThatNobodyWaitsForIsReset(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	first, second := observe(t, r, ping("1")), observe(t, r, ping("2"))
	conn := peer.accept()
	conn.want("1")
	conn.want("2")
	second.drop() // nobody is to be told of it any more
	first.wantSilence()
	assert.Empty(t, second.outcomes)

	first.drop()
	_, err := conn.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET, "so that it stops working for nobody")
	assert.Positive(t, r.avoidUntil.Load(), "it is set aside")
	assert.Zero(t, r.outstanding.Load())
	again := observe(t, r, ping("3"))
	conn = peer.accept()
	conn.want("3")
	conn.reply("3")
	require.NoError(t, again.next().err)
}

func TestCallThatIsNotWrittenLeavesASilentServer(t *testing.T) {
	t.Parallel()
	const length = 8 << 20 // more than socket buffers hold
	peer, r := listen(t)
	long := observe(t, r, make([]byte, length))
	conn := peer.accept()
	_, err := io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)

	behind := observe(t, r, ping("2"))
	long.wantSilence()

	o := behind.next()
	assert.ErrorIs(t, o.err, errSilent)
	assert.False(t, o.written)

	long.drop()
	n, _ := io.Copy(io.Discard, conn)
	assert.Less(t, int(n), length, "bytes that came")
}

// A caller may use his frame's memory again when he has left.
func TestCallThatIsNotWrittenIsTakenBack(t *testing.T) {
	_, r := listen(t)
	p := unstarted(t, r)
	r.pipe = p
	kept, left := ping("kept"), ping("left")
	var attempts []*attempt
	for _, frame := range [][]byte{kept, left, kept} {
		attempts = append(attempts, r.start(frame, make(chan outcome, 2)))
	}

	attempts[1].drop()
	attempts[1].drop() // once more does no harm
	clear(left)

	assert.Equal(t, int32(2), r.outstanding.Load())
	assert.Equal(t, append(kept, kept...), p.take(nil))
	assert.Empty(t, p.queue)
	assert.Equal(t, []*attempt{attempts[0], attempts[2]}, p.sent)
}

// A call that was refused is not among those that a silent server may still
// answer, however its caller leaves.
func TestRefusedCallThatLeavesTakesNothingAway(t *testing.T) {
	_, r := listen(t)
	p := unstarted(t, r)
	r.pipe = p
	waits := observe(t, r, ping("waits"))
	p.take(nil)
	p.silent = true
	refused := observe(t, r, ping("refused"))
	assert.ErrorIs(t, refused.next().err, errSilent)
	refused.drop()
	assert.NoError(t, p.err, "somebody waits")
	waits.drop()
	assert.ErrorIs(t, p.err, errAbandoned)
}

func TestIdleConnectionIsNotSilent(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	first := observe(t, r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	conn.reply("1")
	require.NoError(t, first.next().err)

	time.Sleep(silence + silence/4) // the idleness
	second := observe(t, r, ping("2"))
	conn.want("2")
	time.Sleep(silence / 2) // counted from the call, that is not too long
	assert.Empty(t, second.outcomes)

	conn.reply("2")
	require.NoError(t, second.next().err)
	assert.Zero(t, r.avoidUntil.Load(), "it is not set aside")
}

func TestAnotherCallGivesNoRespite(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	first := observe(t, r, ping("1"))
	conn := peer.accept()
	conn.want("1")

	var others []observed
	asked := time.Now()
	for time.Since(asked) < silence*3/4 { // its kernel acknowledges them all
		others = append(others, observe(t, r, ping("2")))
		conn.want("2")
		time.Sleep(silence / 100)
	}

	first.wantSilence()
	assert.Less(t, time.Since(asked), silence+2*time.Second)
	others[len(others)-1].wantSilence()
}

// On its way over a slow link, a request brings no reply, but it moves.
func TestLongRequestOverASlowLinkIsNoSilence(t *testing.T) {
	t.Parallel()
	if acknowledged(dialed(t)) == 0 {
		t.Skip("this system doesn't tell what has arrived")
	}

	peer, r := listen(t)
	raw, err := peer.listener.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10)
	}))
	require.NoError(t, err)

	frame := ping(strings.Repeat("x", 8<<20))
	call := observe(t, r, frame)
	conn := peer.accept()
	began := time.Now()
	steps := 40
	for range steps { // for twice as long as silence lasts
		_, err := io.CopyN(io.Discard, conn, int64(len(frame)/steps))
		require.NoError(t, err)
		time.Sleep(2 * silence / time.Duration(steps))
	}

	_, err = io.CopyN(io.Discard, conn, int64(len(frame)%steps))
	require.NoError(t, err)
	require.Greater(t, time.Since(began), silence)

	conn.reply("1")
	o := call.next()
	require.False(t, o.warning)
	require.NoError(t, o.err)
}

// dialed returns a connection with something sent and acknowledged.
func dialed(t *testing.T) net.Conn {
	stub := harness.StartStub(t, "", good)
	conn, err := net.Dial("tcp", stub.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = conn.Write(ping("1"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
	return conn
}

func TestLongReplyOverASlowLinkIsNoSilence(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	call := observe(t, r, ping("1"))
	conn := peer.accept()
	conn.want("1")

	frame := pong(strings.Repeat("x", 160<<10))
	for piece := frame; len(piece) > 0; {
		n, err := conn.Write(piece[:min(len(piece), 8<<10)])
		require.NoError(t, err)
		piece = piece[n:]
		time.Sleep(silence / 10)
	}

	o := call.next()
	require.False(t, o.warning)
	require.NoError(t, o.err)
}

// A byte now and then is no progress.
func TestReplyThatTricklesInIsSilence(t *testing.T) {
	t.Parallel()
	peer, r := listen(t)
	call := observe(t, r, ping("1"))
	conn := peer.accept()
	conn.want("1")
	for _, b := range pong("1") {
		_, err := conn.Write([]byte{b})
		require.NoError(t, err)
		time.Sleep(silence * 3 / 2 / time.Duration(len(pong("1"))))
	}
	call.wantSilence()
	require.NoError(t, call.next().err, "it is waited for all the same")
}

// A client that was stopped for a while has not listened: it must not blame the
// server for that time.
func TestTimeInWhichTheClientWasStoppedIsNoSilence(t *testing.T) {
	peer, r := listen(t)
	call := observe(t, r, ping("1"))
	conn := peer.accept()
	conn.want("1")

	r.mu.Lock()
	p := r.pipe
	r.mu.Unlock()
	p.mu.Lock() // nobody here gets any further
	time.Sleep(silence + silence/2)
	conn.reply("1")
	p.mu.Unlock()

	o := call.next()
	require.False(t, o.warning)
	require.NoError(t, o.err)
	assert.Zero(t, r.avoidUntil.Load())
}

// Callers with little patience come and go: what they leave behind is bounded.
func TestCallsThatNobodyWaitsForHoldNoMemory(t *testing.T) {
	const calls, length = 1000, 200 << 10
	peer, r := listen(t)
	before := heapInUse()

	for i := range calls {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		call(ctx, r, ping(strings.Repeat("x", length)))
		if i == 0 {
			peer.accept() // and never reads
		}
	}

	assert.Less(t, heapInUse()-before, calls*length/10, "bytes, after %d calls of %d", calls, length)
	assert.Less(t, r.outstanding.Load(), int32(calls/2), "calls that were written")
}
