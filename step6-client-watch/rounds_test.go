// Tests of rounds of calls, with a list of servers that isn't ZooKeeper's.

//go:build unix

package main

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

// only finds these servers, which are always there.
func only(servers ...string) discoveryFunc {
	return func(ctx context.Context, publish func(Snapshot)) {
		publish(Snapshot{Servers: servers})
		<-ctx.Done()
	}
}

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

// startServer starts a server that ZooKeeper never hears of, and returns its
// address.
func startServer(t *testing.T) string {
	t.Helper()
	return theServer.Serve(t, harness.Options{ZK: "127.0.0.1:1"}).Addr
}

func TestRounds(t *testing.T) {
	addr := startServer(t)
	output, err := ran(t, in30s(t), Rounds{N: 2, Timeout: 10 * time.Second}, only(addr))
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
	output, err := ran(t, in30s(t), Rounds{N: 1, Timeout: 10 * time.Second}, only(stub.Addr))
	require.NoError(t, err)
	for _, kind := range []string{"pong", "pi_r"} {
		assert.Contains(t, output, stub.Addr+" "+kind+` "one\ncalls 99, failed 0, \u009b2J\x1b in 0.1s"`+"\n")
	}
}

func TestRoundsInterrupted(t *testing.T) {
	addr := startServer(t)
	ctx, interrupt := context.WithCancel(in30s(t))
	thenInterrupt := func(ctx context.Context, publish func(Snapshot)) {
		only(addr).Watch(ctx, func(s Snapshot) {
			publish(s)
			interrupt()
		})
	}
	rounds := Rounds{N: 2, Interval: time.Hour, Timeout: 10 * time.Second}
	output, err := ran(t, ctx, rounds, discoveryFunc(thenInterrupt))
	assert.NoError(t, err)
	assert.Contains(t, output, "calls ")
}

func TestRoundsWithoutServer(t *testing.T) {
	output, err := ran(t, in30s(t), Rounds{N: 1, Timeout: 10 * time.Second}, only())
	assert.ErrorIs(t, err, ErrNoServer)
	assert.Empty(t, output, "there was nothing to sum up")
}

func TestRoundsWithoutList(t *testing.T) {
	silent := discoveryFunc(func(ctx context.Context, _ func(Snapshot)) { <-ctx.Done() })
	synctest.Test(t, func(t *testing.T) {
		for wait, takes := range map[time.Duration]time.Duration{0: 5 * time.Second, time.Minute: time.Minute} {
			began := time.Now()
			output, err := ran(t, t.Context(), Rounds{N: 1, Wait: wait, Timeout: 10 * time.Second}, silent)
			assert.ErrorIs(t, err, ErrNoList)
			assert.EqualError(t, err, "can't read the list of servers")
			assert.Empty(t, output)
			assert.Equal(t, takes, time.Since(began))
		}
	})
}
