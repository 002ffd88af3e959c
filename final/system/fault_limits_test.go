// The fault matrix, part limits: what must not grow without bound, and who must
// not be cut off for what is the server's own fault.

//go:build unix

package system

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

// longFrame is a call nearly as long as a request may be.
var longFrame = harness.Frame(harness.Request("ping", strings.Repeat("x", 1_000_000)))

// A worker is stopped for longer than the timeouts. When it goes on, every
// clock of its is over time, and nobody has done anything wrong.
func TestFaultWorkerStoppedForLong(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	const timeout = 6 * time.Second // longer than it takes a busy machine to connect them all
	s := srvStart(t, "-frame-timeout="+timeout.String(), "-idle-timeout="+timeout.String())
	short := harness.Frame(harness.Request("ping", 1))
	var idle, half, longHalf []*harness.Conn
	for i := range 350 { // more than come in at one wait of the loop
		idle = append(idle, s.Dial(t))
		half = append(half, s.Dial(t))
		half[i].Send(short[:10])
	}
	for i := range 4 {
		longHalf = append(longHalf, s.Dial(t))
		longHalf[i].Send(longFrame[:100_000])
	}
	all := slices.Concat(idle, half, longHalf)
	srvWaitConns(t, s, len(all))
	s.WaitRead(t, longHalf[3])

	worker := s.Workers(t)[0]
	s.Freeze(worker)
	stopped := time.NewTimer(timeout + timeout/2)
	for _, c := range idle {
		c.Send(short)
	}
	for _, c := range half {
		c.Send(short[10:])
	}
	for _, c := range longHalf {
		go func() { _ = c.TrySend(longFrame[100_000:]) }() // more than the kernel takes
	}
	<-stopped.C
	s.SignalEach(syscall.SIGCONT, worker)

	for i, c := range all {
		reply := c.ReadReply()
		assert.Equal(t, "pong", reply.Kind, "connection %d: %.100s", i, reply.Result)
	}
}

// Connections come and go in the middle of long requests: what they held goes
// with them.
func TestFaultConnectionsThatEndInAFrame(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	s := srvStart(t)
	s.Call(t, "ping", 1)
	before := s.RSS()

	const conns = 300
	half := append(harness.Frame(harness.Request("ping", 1)),
		harness.Frame(strings.Repeat("x", rpc.MaxRequest))[:1_048_000]...)
	for range conns {
		c := s.Dial(t)
		c.Send(half)
		c.WantPong("1")
		c.Close()
		srvWaitConns(t, s, 0)
	}

	assert.Less(t, s.RSS()-before, int64(conns<<20/3), "more bytes of memory in use")
}

// Hundreds of clients send nearly all of a long request, and wait. The worker
// holds a bounded part of that, and others are served: those with long
// requests, too.
func TestFaultUnfinishedRequests(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	s := srvStart(t, "-max-unfinished=8388608", "-frame-timeout=1m")
	good := s.Dial(t)
	srvPing(t, good)
	before := s.RSS()

	const conns = 300
	strangers := make([]*harness.Conn, conns)
	for i := range strangers {
		strangers[i] = s.Dial(t)
		strangers[i].Send(longFrame[:950_000])
		if i%10 == 0 {
			srvPing(t, good)
		}
	}
	assert.Less(t, s.RSS()-before, int64(conns<<20/3), "more bytes of memory in use")

	ended := 0
	for _, c := range strangers {
		c.Timeout = time.Second // the last ones may stay
		reply, err := c.TryReply()
		if err == nil {
			assert.Equal(t, "error", reply.Kind)
			assert.Contains(t, string(reply.Result), "not come in whole")
			ended++
		}
		if ended == conns-10 {
			break
		}
	}
	assert.Equal(t, conns-10, ended, "strangers that got an error reply")

	for range 20 { // as much is held as may be
		good.Send(longFrame)
		assert.Equal(t, "pong", good.ReadReply().Kind)
	}
}

// Twenty long computations on one worker: some are answered long before the
// others. And short ones, beside them, don't wait for them.
func TestFaultManyComputations(t *testing.T) {
	t.Parallel()
	s := srvStart(t)
	const long = 20
	began := time.Now()
	answered := make(chan time.Duration, long)
	for range long {
		c := s.Dial(t)
		c.Timeout = 2 * patience
		c.SendRequest("pi", rpc.MaxPiTerms) // 0.3 s
		go func() {
			_, _ = c.TryReply()
			answered <- time.Since(began)
		}()
	}

	c := s.Dial(t)
	var short []time.Duration
	for i := range 10 {
		began := time.Now()
		n := 500_000 + i // 2 ms
		c.SendRequest("pi", n)
		c.WantReply("pi_r", fmt.Sprint(rpc.PiSum(n)))
		short = append(short, time.Since(began))
	}
	slices.Sort(short)
	assert.Less(t, short[len(short)/2], time.Second, "the usual short computation")

	var took []time.Duration
	for range long {
		took = append(took, <-answered)
	}
	assert.Less(t, took[long/4], took[long-1]*2/3,
		"a quarter was answered after %v, all after %v", took[long/4], took[long-1])
}
