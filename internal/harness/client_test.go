// Tests of the verbs about clients, and of stub servers.

package harness

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script starts a shell script as the client.
func script(t testing.TB, text string) *Client {
	t.Helper()
	return &Client{shell(t, text)}
}

// printing starts a client that prints this and then does what the rest of the
// script says.
func printing(t testing.TB, text, rest string) *Client {
	t.Helper()
	return script(t, "trap 'exit 0' INT; printf '"+text+"'; "+rest)
}

func TestClientAnswers(t *testing.T) {
	c := printing(t, `a:1 pong x 1\na:1 pi_r 3\n`, "while :; do printf 'b:2 pong'; sleep 0.01; printf ' x 2\\n'; done")
	c.WaitAnswers(3, "b:2")
	answers := c.Answers()
	assert.Equal(t, []Answer{{"a:1", "pong x 1"}, {"a:1", "pi_r 3"}}, answers[:2])
	for _, answer := range answers[2:] {
		assert.Equal(t, Answer{"b:2", "pong x 2"}, answer)
	}
}

func TestClientSummary(t *testing.T) {
	c := printing(t, `a:1 pong x\nb:2 pong y\na:1 pong z\ncalls 4, failed 1, in 2.5s\n  a:1  2\n  b:2  1\n`, "exit 0")
	c.Wait(10 * time.Second)
	assert.Equal(t, Summary{4, 1, 2500 * time.Millisecond, map[string]int{"a:1": 2, "b:2": 1}}, c.Summary())
}

func TestClientFailures(t *testing.T) {
	ended := func(text string, verb func(c *Client)) func(testing.TB) {
		return func(t testing.TB) {
			c := printing(t, text, "exit 1")
			c.Wait(10 * time.Second)
			verb(c)
		}
	}
	summary := func(c *Client) { c.Summary() }
	for _, test := range []struct {
		run      func(testing.TB)
		expected string
	}{
		{ended(`a:1 pong x\n`, summary), "a summary"},
		{ended(`a:1 pong x\ncalls 1, failed 0, in 2s\n`, summary), "a summary"},
		{ended(`a:1 pong x\ncalls 1, failed 0, in 2.0s\na:1 1\n`, summary), "lines such as"},
		{ended(`a:1 pong x\ncalls 2, failed 0, in 2.0s\n  a:1  1\n`, summary), "the summary of the lines"},
		{ended(`a:1 pong x\ncalls 1, failed 0, in 2.0s\n  b:1  1\n`, summary), "the summary of the lines"},
		{ended(`hello\n`, func(c *Client) { c.Answers() }), "a server and its answer"},
		{ended(``, func(c *Client) { c.WaitAnswers(1, "") }), "1 more answers"},
		{ended(`a:1 x\n`, func(c *Client) { c.WaitAnswers(1, "a:1") }), "exit code 1"},
		{func(t testing.TB) {
			c := script(t, "trap 'exit 3' INT; while :; do echo a:1 x; sleep 0.01; done")
			c.WaitAnswers(1, "")
			c.Interrupt()
		}, "exit code 0"},
	} {
		assert.Contains(t, mustFail(t, test.run), test.expected)
	}
}

func TestClientInterrupt(t *testing.T) {
	c := script(t,
		`trap 'printf "calls 1, failed 0, in 0.1s\n  a:1  1\n"; exit 0' INT; echo a:1 x; while :; do sleep 0.01; done`)
	Eventually(t, 10*time.Second, "an answer", func() (bool, string) { return len(c.Answers()) == 1, c.Stdout() })
	assert.Equal(t, 1, c.Interrupt().Calls)
}

func TestListing(t *testing.T) {
	l := &Listing{shell(t, `printf 'fresh 0\nfresh 2 a:1 b:2\nstale'; sleep 60`)}
	l.WaitLine("fresh", "a:1", "b:2")
	assert.Equal(t, []string{"fresh 0", "fresh 2 a:1 b:2"}, l.Lines(), "whole lines")
	assert.Contains(t, mustFail(t, func(t testing.TB) {
		(&Listing{shell(t, "echo fresh 0; exit 3")}).WaitLine("fresh", "a:1")
	}), "exit code 3")
}

func TestStub(t *testing.T) {
	s := StartStub(t, "", func(conn net.Conn, body []byte) error {
		if strings.Contains(string(body), "quit") {
			return errors.New("told to")
		}
		_, err := conn.Write(Frame(`{"out":"pong","result":1}`))
		return err
	})
	c := Dial(t, s.Addr)
	c.SendRequest("ping", 1)
	c.SendRequest("ping", 2)
	c.WantPong("1")
	c.WantPong("1")
	c.SendRequest("quit", 3)
	c.WantEOF()
	assert.Equal(t, 3, s.Requests())
	other := Dial(t, s.Addr)
	other.SendRequest("ping", 1)
	other.WantPong("1")
	assert.Equal(t, 2, s.Conns())
	Eventually(t, 10*time.Second, "1 open connection", func() (bool, string) {
		return s.Open() == 1, strconv.Itoa(s.Open())
	})

	assert.Zero(t, s.Resets())
	cut, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	require.NoError(t, cut.(*net.TCPConn).SetLinger(0))
	cut.Close()
	Eventually(t, 10*time.Second, "1 reset", func() (bool, string) { return s.Resets() == 1, strconv.Itoa(s.Resets()) })

	s.Close()
	other.WantEOF()
	_, err = net.Dial("tcp", s.Addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}
