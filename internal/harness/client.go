// Clients: programs that call the servers they find, and print a line for each
// answer and a summary in the end.

package harness

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Client is a program that calls servers.
type Client struct{ *Program }

// An Answer is one line that a client printed.
type Answer struct {
	Server string // host:port
	Text   string // the rest of the line, such as "pong ireader 93"
}

// A Summary is what a client says of its calls in the end.
type Summary struct {
	Calls, Failed int
	Took          time.Duration
	Answered      map[string]int // calls by server
}

// Answers returns the lines that were printed so far, without the summary.
func (c *Client) Answers() []Answer {
	c.t.Helper()
	var answers []Answer
	for line := range strings.Lines(c.Stdout()) {
		server, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if strings.HasPrefix(line, "calls ") || !strings.HasSuffix(line, "\n") {
			break // the summary, or a line that is only half there
		}
		if !ok {
			fail(c.t, "lines of a server and its answer", fmt.Sprintf("%q", line))
		}
		answers = append(answers, Answer{server, text})
	}

	return answers
}

// WaitAnswers waits until n more answers than now have been printed; of this
// server, unless it is "". It fails the test after 20 s, or when the client
// ends before.
func (c *Client) WaitAnswers(n int, server string) {
	c.t.Helper()
	before, what := len(c.Answers()), fmt.Sprintf("%d more answers", n)
	if server != "" {
		what += " of " + server
	}
	Eventually(c.t, 20*time.Second, what, func() (bool, string) {
		more, by := 0, map[string]int{}
		for _, answer := range c.Answers()[before:] {
			by[answer.Server]++
			if server == "" || answer.Server == server {
				more++
			}
		}
		got := fmt.Sprintf("%d; answers by server: %v", more, by)
		if more < n && c.Ended() {
			fail(c.t, what, got+fmt.Sprintf(", and the client ended with exit code %d", c.exitCode()))
		}
		return more >= n, got
	})
}

// Interrupt sends SIGINT, as Ctrl-C does, and expects the client to end with
// exit code 0. It returns the summary.
func (c *Client) Interrupt() Summary {
	c.t.Helper()
	c.Signal(syscall.SIGINT)
	return c.WaitSummary()
}

// WaitSummary waits until the client ends, for at most 20 s, expects exit code
// 0 and returns the summary.
func (c *Client) WaitSummary() Summary {
	c.t.Helper()
	code := c.Wait(20 * time.Second)
	Check(c.t, code == 0, "exit code 0", "%d", code)
	return c.Summary()
}

var (
	summaryLine = regexp.MustCompile(`^calls (\d+), failed (\d+), in (\d+\.\d)s\n`)
	serverLine  = regexp.MustCompile(`^  (\S+:\d+)  (\d+)\n$`)
)

// Summary returns what the client, which must have ended, said in the end. It
// fails the test if there is no summary or if it doesn't fit the answers.
func (c *Client) Summary() Summary {
	c.t.Helper()
	out := c.Stdout()
	out = out[max(0, strings.LastIndex("\n"+out, "\ncalls ")):]
	at := summaryLine.FindStringSubmatchIndex(out)
	if at == nil {
		fail(c.t, `a summary that begins with "calls 200, failed 0, in 50.1s"`, cmp.Or(c.Stdout(), "no output"))
	}

	number := func(i int) (n int) {
		n, _ = strconv.Atoi(out[at[2*i]:at[2*i+1]]) // digits, by the expression
		return n
	}

	took, _ := time.ParseDuration(out[at[6]:at[7]] + "s")
	s := Summary{Calls: number(1), Failed: number(2), Took: took, Answered: map[string]int{}}
	for line := range strings.Lines(out[at[1]:]) {
		m := serverLine.FindStringSubmatch(line)
		if m == nil {
			fail(c.t, `lines such as "  127.0.0.1:8080  104" in the summary`, fmt.Sprintf("%q", line))
		}
		s.Answered[m[1]], _ = strconv.Atoi(m[2])
	}

	want := Summary{Calls: s.Failed, Failed: s.Failed, Took: s.Took, Answered: map[string]int{}}
	for _, answer := range c.Answers() {
		want.Calls++
		want.Answered[answer.Server]++
	}

	Check(c.t, fmt.Sprint(s) == fmt.Sprint(want), fmt.Sprintf("the summary of the lines above it, %+v", want), "%+v", s)
	return s
}
