// The fault matrix, part clients: strangers that don't read, don't finish what
// they begin, come in crowds, or never stop. Each row does one of these to the
// complete server and expects that others don't notice. All servers here have
// one worker: a second one would hide it when the first is taken up.

//go:build unix

package system

import (
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

// srvStart starts a server of one worker with these flags more, which no
// client finds by itself.
func srvStart(t *testing.T, flags ...string) *harness.Server {
	t.Helper()
	return startServer(t, harness.Options{Workers: 1, Flags: flags})
}

// srvPing makes a call and returns how long it took.
func srvPing(t *testing.T, c *harness.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	c.SendRequest("ping", "still there?")
	c.WantPong(`"still there?"`)
	return time.Since(began)
}

// srvConns returns how many connections a worker holds.
func srvConns(t *testing.T, worker int) int {
	t.Helper()
	sockets := make(map[string]bool) // a worker has two descriptors of the one that listens
	for _, target := range harness.Descriptors(t, worker) {
		if strings.HasPrefix(target, "socket:") {
			sockets[target] = true
		}
	}
	return len(sockets) - 1
}

// srvWaitConns waits until the only worker holds n connections.
func srvWaitConns(t *testing.T, s *harness.Server, n int) {
	t.Helper()
	harness.Eventually(t, patience, fmt.Sprintf("%d connections held", n), func() (bool, string) {
		now := srvConns(t, s.Workers(t)[0])
		return now == n, fmt.Sprint(now)
	})
}

// srvMemory returns how many bytes of memory a server uses, and how many it
// has asked the kernel for.
func srvMemory(t *testing.T, s *harness.Server) (used, asked int64) {
	t.Helper()
	for _, pid := range s.Processes(t) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		require.NoError(t, err)
		for line := range strings.Lines(string(status)) {
			var kib int64
			if _, err := fmt.Sscanf(line, "VmData: %d kB", &kib); err == nil {
				asked += kib << 10
			}
		}
	}
	return s.RSS(), asked
}

// Clients that send without end and read slowly, or nothing at all: the server
// stops reading from them instead of keeping replies for them. Who reads
// nothing for as long as the idle timeout is cut off.
func TestFaultSlowReaders(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	const deaf, slow, most = 6, 2, 32 << 20
	s := srvStart(t, "-idle-timeout=3s")
	s.Call(t, "ping", 1)
	before := s.RSS()

	padding := strings.Repeat("x", 8000)
	var taken atomic.Int64
	send := func(c *harness.Conn, most int) {
		for n := 0; n*len(padding) < most; n++ {
			if c.TrySend(harness.Frame(harness.Request("ping", fmt.Sprint(n, " ", padding)))) != nil {
				return // the server has stopped reading, or the test is over
			}
			taken.Add(int64(len(padding)))
		}
	}

	var deafSenders sync.WaitGroup
	for range deaf {
		c := harness.DialSmall(t, s.Addr)
		c.Timeout = time.Second
		deafSenders.Go(func() { send(c, most) })
	}

	var replies [slow]atomic.Int64
	done, errs := make(chan bool), make(chan error, slow)
	for i := range slow {
		c := harness.DialSmall(t, s.Addr)
		go send(c, math.MaxInt)
		go func() { errs <- srvReadSlowly(c, &replies[i], done) }()
	}

	deafSenders.Wait()
	s.Call(t, "ping", 1)
	grown := s.RSS() - before
	assert.Less(t, grown, int64(64<<20), "more bytes of memory; %d MiB of requests were taken", taken.Load()>>20)

	s.WantIdle(t)
	s.Call(t, "ping", 1)
	srvWaitConns(t, s, slow)

	close(done)
	for i := range slow {
		require.NoError(t, <-errs)
		assert.Greater(t, replies[i].Load(), int64(20), "replies to slow reader %d", i)
	}
}

// srvReadSlowly reads replies to calls whose params begin with their numbers,
// now and then one.
func srvReadSlowly(c *harness.Conn, replies *atomic.Int64, done <-chan bool) error {
	for {
		select {
		case <-done:
			return nil
		case <-time.After(20 * time.Millisecond): // this is what makes it slow
		}
		reply, err := c.TryReply()
		if err != nil {
			return err
		}
		if want := fmt.Sprintf(`"%d x`, replies.Load()); !strings.HasPrefix(string(reply.Result), want) {
			return fmt.Errorf("got %.20s, want %s", reply.Result, want)
		}
		replies.Add(1)
	}
}

// Frames that come a byte at a time: each byte is activity, and yet the frame
// has to be whole in time.
func TestFaultSlowloris(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	const timeout = time.Second
	s := srvStart(t, "-frame-timeout="+timeout.String())
	good, quiet := s.Dial(t), s.Dial(t)
	srvPing(t, good)
	srvPing(t, quiet) // it will say nothing for longer than a frame may take, and that is its right

	frame := harness.Frame(harness.Request("ping", strings.Repeat("x", 100_000)))
	stop := make(chan struct{})
	var senders sync.WaitGroup
	conns := make([]*harness.Conn, 30)
	began := time.Now()

	for i := range conns {
		c := s.Dial(t)
		conns[i] = c
		senders.Go(func() {
			for _, b := range frame {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond): // the byte now and then
					_ = c.TrySend([]byte{b}) // after the end, too
				}
			}
		})
	}

	for _, c := range conns {
		c.WantReply("error", `"the request did not come in whole in time"`)
		c.WantEOF()
		srvPing(t, good)
	}

	assert.GreaterOrEqual(t, time.Since(began), timeout)
	srvWaitConns(t, s, 2) // although they go on sending
	close(stop)
	senders.Wait()
	srvPing(t, quiet)
}

// A thousand clients announce the longest request, send its beginning, and
// nothing more.
func TestFaultHalfFrames(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	const timeout = 2 * time.Second
	s := srvStart(t, "-frame-timeout="+timeout.String())
	good := s.Dial(t)
	srvPing(t, good)
	conns := make([]*harness.Conn, 1000)
	for i := range conns {
		conns[i] = s.Dial(t)
	}
	srvWaitConns(t, s, 1+len(conns))

	used, asked := srvMemory(t, s)
	cpu := s.CPU()
	half := harness.Frame(strings.Repeat("x", rpc.MaxRequest))[:100]
	for _, c := range conns {
		c.Send(half)
	}

	for _, i := range []int{0, len(conns) / 2, len(conns) - 1} {
		s.WaitRead(t, conns[i])
	}
	srvPing(t, good)

	usedNow, askedNow := srvMemory(t, s)
	assert.Less(t, usedNow-used, int64(32<<20), "more bytes of memory in use")
	assert.Less(t, askedNow-asked, int64(256<<20), "more bytes of memory reserved")

	for i, c := range conns {
		c.WantReply("error", `"the request did not come in whole in time"`)
		if i == 0 {
			assert.Less(t, s.CPU()-cpu, timeout/4, "CPU time to wait for 1,000 frames to come in")
		}
		c.WantEOF()
	}
	srvWaitConns(t, s, 1)
	srvPing(t, good)
}

// One connection sends calls as fast as the server takes them, and reads the
// replies: the other one's turn comes all the same.
func TestFaultFlood(t *testing.T) {
	for name, request := range map[string]string{
		"calls":              harness.Request("ping", 1),
		"long calls":         harness.Request("ping", strings.Repeat("x", 500_000)),
		"bad calls":          "{",
		"computations":       harness.Request("pi", rpc.MaxPiTerms),
		"short computations": harness.Request("pi", 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := srvStart(t)
			good := s.Dial(t)
			srvPing(t, good)

			flooder, err := net.Dial("tcp", s.Addr)
			require.NoError(t, err)
			defer flooder.Close()
			frame := harness.Frame(request)
			burst := slices.Repeat(frame, 1+64<<10/len(frame))
			_, err = flooder.Write(burst) // so that the server is busy when the first ping comes
			require.NoError(t, err)

			var work sync.WaitGroup
			work.Go(func() {
				for err := error(nil); err == nil; {
					_, err = flooder.Write(burst)
				}
			})
			work.Go(func() { _, _ = io.Copy(io.Discard, flooder) })

			var took []time.Duration
			for range 10 {
				took = append(took, srvPing(t, good))
			}

			flooder.Close()
			work.Wait()
			slices.Sort(took)
			t.Logf("pings took %v, the slowest %v", took[len(took)/2], took[len(took)-1])
			// A turn of the loop is some milliseconds of work. A server that
			// reads on as long as there is something, or computes to the end,
			// never gets here.
			assert.Less(t, took[len(took)/2], 2*time.Second, "the usual ping")
		})
	}
}
