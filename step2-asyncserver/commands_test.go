// Tests of the program's command line from outside: what it prints, and which
// exit codes tell what went wrong.

package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgramPrintsWhereItListens(t *testing.T) {
	p := harness.Start(t, harness.Build(t, "."), nil, "127.0.0.1", "0")
	lines := regexp.MustCompile(`\Alistening on (127\.0\.0\.1:[1-9][0-9]*)\n\z`)
	var found []string
	harness.Eventually(t, 20*time.Second, "a line \"listening on 127.0.0.1:PORT\"", func() (bool, string) {
		found = lines.FindStringSubmatch(p.Stdout())
		return found != nil, fmt.Sprintf("%q", p.Stdout())
	})
	assert.Equal(t, "pong 1", harness.Dial(t, found[1]).Call("ping", 1).String())
}

func TestProgramLogsCallsWhenAsked(t *testing.T) {
	s := theServer.Serve(t, harness.Options{Flags: []string{"-v"}})
	c := s.Dial(t)
	c.Call("pi", 93)
	want := fmt.Sprintf("call pid=%d method=pi params=93\n", s.PIDOf(c))
	harness.Eventually(t, 20*time.Second, want, func() (bool, string) {
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
		"":               "need 2 arguments (HOST PORT), got 0",
		"127.0.0.1 0 0":  "need 2 arguments (HOST PORT), got 3",
		"127.0.0.1 0 -v": "flag -v must come before HOST",
		"127.0.0.1 http": `PORT must be a number from 0 to 65535, not "http"`,
		"-x 127.0.0.1 0": "-x",
	} {
		stdout, stderr, code := harness.Run(t, harness.Build(t, "."), "", strings.Fields(args)...)
		assert.Equal(t, 2, code, args)
		assert.Empty(t, stdout, args)
		assert.Contains(t, stderr, want, args)
	}
}

// The log is in a pipe whose reader has gone away, or stands still, or where
// there is no room: no reason to end, nor to keep anybody waiting.
func TestProgramWhoseLogNobodyReads(t *testing.T) {
	for _, how := range []string{"closed", "stalled", "full"} {
		t.Run(how, func(t *testing.T) {
			reader, log, err := os.Pipe()
			require.NoError(t, err)
			defer reader.Close()
			if how == "full" {
				log.Close()
				log, err = os.OpenFile("/dev/full", os.O_WRONLY, 0)
				if err != nil {
					t.Skip("no /dev/full:", err)
				}
			}

			s := theServer.Serve(t, harness.Options{Flags: []string{"-v"}, Output: log})
			log.Close() // only the server has it now
			if how == "closed" {
				reader.Close()
			}

			c := s.Dial(t)
			const calls = 3000 // some 60 bytes of log each: a pipe holds 64 KiB
			go func() { _ = c.TrySend(slices.Repeat(harness.Frame(harness.Request("ping", 1)), calls)) }()
			for range calls {
				c.WantPong("1")
			}
			c.Close()
			s.Signal(syscall.SIGTERM)
			assert.Zero(t, s.Wait(20*time.Second))
		})
	}
}
