// Black-box tests of the limits' flags: the program's own workers keep to them,
// and whom they keep out finds another server, or waits.

//go:build unix

package rpc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

func TestLimitFlagsThatMakeNoSense(t *testing.T) {
	for _, wrong := range [][2]string{
		{"-max-frame", "0"}, {"-max-frame", "-1"}, {"-max-frame", "1023"}, {"-max-frame", "1048577"},
		{"-max-frame", "64K"}, {"-max-frame", ""}, {"-max-conns", "-1"}, {"-max-conns", "many"},
		{"-max-unfinished", "-1"}, {"-max-unfinished", "1"}, {"-max-unfinished", "2097151"}, {"-max-unfinished", "64M"},
		{"-idle-timeout", "3ns"}, {"-idle-timeout", "1µs"}, {"-idle-timeout", "99ms"}, {"-idle-timeout", "-1s"},
		{"-frame-timeout", "3ns"}, {"-frame-timeout", "1µs"}, {"-frame-timeout", "99ms"}, {"-frame-timeout", "-1s"},
	} {
		stdout, stderr, code := harness.Run(t,
			harness.Build(t, "./cmd/server"), "", wrong[0], wrong[1], "127.0.0.1", "0")
		assert.Equal(t, 2, code, "exit code for %s", wrong)
		assert.Contains(t, stderr, wrong[0])
		assert.Contains(t, stderr, wrong[1], "what was wrong")
		assert.Empty(t, stdout)
	}

	_, stderr, _ := harness.Run(t, harness.Build(t, "./cmd/server"), "", "-max-frame", "1023", "127.0.0.1", "0")
	assert.Contains(t, stderr, "from 1024 to 1048576", "what would be right")
	_, stderr, _ = harness.Run(t, harness.Build(t, "./cmd/server"), "", "-idle-timeout", "1us", "127.0.0.1", "0")
	assert.Contains(t, stderr, "at least 100ms, or 0", "what would be right")
	_, stderr, _ = harness.Run(t, harness.Build(t, "./cmd/server"), "", "-max-unfinished", "1", "127.0.0.1", "0")
	assert.Contains(t, stderr, "at least 2097152 bytes, or 0", "what would be right")
}

func TestMaxFrameFlag(t *testing.T) {
	s := theServer.Serve(t, harness.Options{Flags: []string{"-max-frame", "1024"}})
	longest := strings.Repeat("x", 1024-len(harness.Request("ping", "")))

	c := s.Dial(t)
	c.SendRequest("ping", longest)
	c.WantPong(`"` + longest + `"`)
	c.SendRequest("ping", longest+"x")
	c.WantReply("error", `"frame of 1025 bytes is over the limit of 1024"`)
	c.WantEOF()

	// One that is still on its way is answered, too, and read to its end.
	c = s.Dial(t)
	sent := make(chan error, 1)
	go func() { sent <- c.TrySend(harness.Frame(harness.Request("ping", strings.Repeat("x", MaxRequest)))) }()
	c.WantReply("error",
		fmt.Sprintf(`"frame of %d bytes is over the limit of 1024"`, MaxRequest+len(harness.Request("ping", ""))))
	c.WantEOF()
	assert.NoError(t, receive(t, sent, "the end of a long request"))
}

func TestMaxFrameFlagAtItsDefault(t *testing.T) {
	s := theServer.Serve(t, harness.Options{})
	longest := strings.Repeat("x", MaxRequest-len(harness.Request("ping", "")))
	c := s.Dial(t)
	c.SendRequest("ping", longest)
	c.WantPong(`"` + longest + `"`)
	c.SendRequest("ping", longest+"x")
	c.WantError()
	c.WantEOF()
}

// Each worker takes as many as the flag says; the next one waits, and is served
// as soon as one of them leaves.
func TestMaxConnsFlag(t *testing.T) {
	const workers, each = 2, 2
	s := theServer.Serve(t, harness.Options{Workers: workers, Flags: []string{"-max-conns", fmt.Sprint(each)}})
	s.WaitServing(t, workers)
	served := holdAll(t, s, workers*each)

	held := make(map[int]int)
	for _, pid := range s.Owners(t, served...) {
		held[pid]++
	}
	assert.Len(t, held, workers, "%v", held)
	for pid, n := range held {
		assert.Equal(t, each, n, "connections of worker %d", pid)
	}

	waiting := s.Dial(t)
	waiting.SendRequest("ping", "room?")
	for range 10 {
		waiting.WantSilence() // 20 ms: a worker looks for room every 10
	}
	for _, c := range served {
		c.SendRequest("ping", "still there")
		c.WantPong(`"still there"`)
	}

	served[0].Close()
	waiting.WantPong(`"room?"`)
}

// holdAll opens n connections and returns when all of them are served.
func holdAll(t *testing.T, s *harness.Server, n int) (served []*harness.Conn) {
	t.Helper()
	for i := range n {
		c := s.Dial(t)
		c.SendRequest("ping", i)
		c.WantPong(fmt.Sprint(i))
		served = append(served, c)
	}
	return served
}

// A client's calls go to another server while one is full, and none fails; when
// there is room again that one is called, too.
func TestFullServerCostsNoCall(t *testing.T) {
	zookeeper := zktest.Start(t)
	o := harness.Options{ZK: zookeeper.Addr(), Root: "/full"}
	free := theServer.Serve(t, o)
	o.Workers, o.Flags = 1, []string{"-max-conns", "2"}
	full := theServer.Serve(t, o)
	zktest.NewRegistry(t, zookeeper, o.Root).Wait(soon, "two nodes", func(nodes []zktest.Node) bool {
		return len(nodes) == 2
	})
	served := holdAll(t, full, 2)

	client := theClient.Start(t, harness.ClientOptions{
		ZK: o.ZK, Root: o.Root, Session: 6 * time.Second, Rounds: 1_000_000, Interval: 5 * time.Millisecond,
	})
	began := time.Now()
	for time.Since(began) < 3*time.Second { // one call waits for 2 s at the full server
		client.WaitAnswers(20, free.Addr)
	}
	for _, answer := range client.Answers() {
		assert.Equal(t, free.Addr, answer.Server)
	}
	for _, c := range served {
		c.Close()
	}
	client.WaitAnswers(20, full.Addr)
	summary := client.Interrupt()
	assert.Zero(t, summary.Failed, client.Stderr())
}
