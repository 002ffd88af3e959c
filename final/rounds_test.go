// Tests of what commands share: rounds of calls with a list of servers that
// isn't ZooKeeper's, and flags that are wrong.

//go:build unix

package rpc

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// discoveryFunc is a Discovery with this Watch.
type discoveryFunc func(ctx context.Context, publish func(Snapshot))

func (f discoveryFunc) Watch(ctx context.Context, publish func(Snapshot)) { f(ctx, publish) }

// ran returns what Run does with a list of servers, and its standard output.
func ran(t *testing.T, ctx context.Context, r Rounds, d Discovery) (output string, err error) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "output"))
	require.NoError(t, err)
	defer file.Close()
	stdout := os.Stdout
	os.Stdout = file
	defer func() { os.Stdout = stdout }()
	client := NewClient(d)
	defer client.Close()
	err = r.Run(ctx, client)
	written, readErr := os.ReadFile(file.Name())
	require.NoError(t, readErr)
	return string(written), err
}

func TestRounds(t *testing.T) {
	addr := theServer.Serve(t, harness.Options{}).Addr
	output, err := ran(t, within(t), Rounds{N: 2, Timeout: soon}, onlyServer(addr))
	require.NoError(t, err)
	assert.Regexp(t, "^"+regexp.QuoteMeta(fmt.Sprintf(`%s pong ireader 0
%[1]s pi_r 2.82842712475
%[1]s pong ireader 1
%[1]s pi_r 2.98142397
calls 4, failed 0, in `, addr))+`\d+\.\ds\n  `+regexp.QuoteMeta(addr)+"  4\n$", output)
}

// What a server says is shown, and does nothing to a terminal or to the lines
// around it.
func TestRoundsOfAServerWithBadManners(t *testing.T) {
	stub := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
		kind := "pong"
		if bytes.Contains(body, []byte(`"pi"`)) {
			kind = "pi_r"
		}
		reply := `{"out":"` + kind + `","result":"one\ncalls 99, failed 0, \u009b2J\u001b in 0.1s"}`
		_, err := conn.Write(AppendFrame(nil, []byte(reply)))
		return err
	})
	output, err := ran(t, within(t), Rounds{N: 1, Timeout: soon}, onlyServer(stub.Addr))
	require.NoError(t, err)
	for _, kind := range []string{"pong", "pi_r"} {
		assert.Contains(t, output, stub.Addr+" "+kind+` "one\ncalls 99, failed 0, \u009b2J\x1b in 0.1s"`+"\n")
	}
}

func TestRoundsInterrupted(t *testing.T) {
	addr := theServer.Serve(t, harness.Options{}).Addr
	ctx, interrupt := context.WithCancel(within(t))
	output, err := ran(t, ctx, Rounds{N: 2, Interval: time.Hour, Timeout: soon}, discoveryFunc(func(ctx context.Context, publish func(Snapshot)) {
		onlyServer(addr).Watch(ctx, func(s Snapshot) {
			publish(s)
			interrupt()
		})
	}))
	assert.NoError(t, err)
	assert.Contains(t, output, "calls ")
}

func TestRoundsWithoutServer(t *testing.T) {
	output, err := ran(t, within(t), Rounds{N: 1, Timeout: soon}, discoveryFunc(func(ctx context.Context, publish func(Snapshot)) {
		publish(Snapshot{})
		<-ctx.Done()
	}))
	assert.ErrorIs(t, err, ErrNoServer)
	assert.Empty(t, output, "there was nothing to sum up")
}

func TestRoundsWithoutList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wait, takes := range map[time.Duration]time.Duration{0: 5 * time.Second, time.Minute: time.Minute} {
			began := time.Now()
			output, err := ran(t, t.Context(), Rounds{N: 1, Wait: wait, Timeout: soon}, discoveryFunc(func(ctx context.Context, _ func(Snapshot)) { <-ctx.Done() }))
			assert.EqualError(t, err, "can't read the list of servers")
			assert.Empty(t, output)
			assert.Equal(t, takes, time.Since(began))
		}
	})
}

func TestCommandFlagsThatMakeNoSense(t *testing.T) {
	for _, wrong := range []struct{ command, flag, value string }{
		{"client", "-n", "0"}, {"client", "-interval", "-1ns"}, {"client", "-wait", "-1ns"}, {"client", "-timeout", "0s"},
		{"server", "-workers", "0"}, {"server", "-grace", "-1ns"}, {"server", "-idle-timeout", "-1ns"}, {"server", "-frame-timeout", "-1ns"},
		{"server", "-advertise", "[::1]"},
	} {
		args := []string{wrong.flag, wrong.value}
		if wrong.command == "server" {
			args = append(args, "127.0.0.1", "0")
		}
		stdout, stderr, code := harness.Run(t, harness.Build(t, "./cmd/"+wrong.command), "", args...)
		assert.Equal(t, 2, code, "exit code for %v", wrong)
		assert.Contains(t, stderr, wrong.flag)
		assert.Contains(t, stderr, wrong.command+" -h")
		assert.Empty(t, stdout)
	}
}
