// Tests of the program's command line from outside: what it prints, and which
// exit codes tell what went wrong.

package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"github.com/stretchr/testify/assert"
)

func TestProgramPrintsWhereItListens(t *testing.T) {
	p := harness.Start(t, harness.Build(t, "."), nil, "-workers", "2", "127.0.0.1", "0")
	lines := regexp.MustCompile(`\Alistening on (127\.0\.0\.1:[1-9][0-9]*)\n` +
		`master ([0-9]+), workers ([0-9]+) ([0-9]+)\n\z`)
	var found []string
	harness.Eventually(t, 20*time.Second, `the lines "listening on …" `+
		`and "master …, workers … …"`, func() (bool, string) {
		found = lines.FindStringSubmatch(p.Stdout())
		return found != nil, fmt.Sprintf("%q", p.Stdout())
	})
	pids := append([]int{p.PID}, p.Workers(t)...)
	assert.ElementsMatch(t, strings.Fields(strings.Trim(fmt.Sprint(pids), "[]")), found[2:])
	assert.Equal(t, "pong 1", harness.Dial(t, found[1]).Call("ping", 1).String())
}

func TestProgramLogsCallsWhenAsked(t *testing.T) {
	s := theServer.Serve(t, harness.Options{Flags: []string{"-v"}})
	c := s.Dial(t)
	c.Call("pi", 93)
	want := fmt.Sprintf("call pid=%d method=pi params=93\n", s.PIDOf(c))
	harness.Eventually(t, patience, want, func() (bool, string) {
		return strings.Contains(s.Stderr(), want), s.Stderr()
	})
}

func TestProgramOnATakenPort(t *testing.T) {
	s := theServer.Serve(t, harness.Options{})
	host, port, _ := strings.Cut(s.Addr, ":")
	stdout, stderr, code := harness.Run(t, harness.Build(t, "."), "", host, port)
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "address already in use")
}

func TestUsageErrorsSayWhatIsWrong(t *testing.T) {
	for args, want := range map[string]string{
		"":                       "need 2 arguments (HOST PORT), got 0",
		"127.0.0.1 0 0":          "need 2 arguments (HOST PORT), got 3",
		"127.0.0.1 0 -v":         "flag -v must come before HOST",
		"127.0.0.1 http":         `PORT must be a number from 0 to 65535, not "http"`,
		"-x 127.0.0.1 0":         "-x",
		"-workers 0 127.0.0.1 0": "-workers must be at least 1, not 0",
		"-grace 5 127.0.0.1 0":   "-grace",
		"-grace -1s 127.0.0.1 0": "-grace must not be negative",
		"127.0.0.1 0 -grace 1s":  "flag -grace must come before HOST",
	} {
		stdout, stderr, code := harness.Run(t, harness.Build(t, "."), "", strings.Fields(args)...)
		assert.Equal(t, 2, code, args)
		assert.Empty(t, stdout, args)
		assert.Contains(t, stderr, want, args)
	}
}
