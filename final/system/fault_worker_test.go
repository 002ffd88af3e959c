// The fault matrix, part workers: one that can open no more files, one that is
// killed and one that is stopped, in the middle of things. The library's client
// and clients of raw connections must come through.

//go:build unix

package system

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

// srvClient returns a client of these servers, which the test must close.
func srvClient(t *testing.T, servers ...*harness.Server) *rpc.Client {
	t.Helper()
	var list rpc.Static
	for _, s := range servers {
		list = append(list, s.Addr)
	}
	client := rpc.NewClient(list)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, client.Wait(ctx, len(servers)))
	return client
}

// srvHolder waits until exactly one worker holds connections, and returns its
// pid.
func srvHolder(t *testing.T, s *harness.Server) (pid int) {
	t.Helper()
	harness.Eventually(t, patience, "one worker that holds connections", func() (bool, string) {
		holders := 0
		for _, worker := range s.Workers(t) {
			if srvConns(t, worker) > 0 {
				holders++
				pid = worker
			}
		}
		return holders == 1, fmt.Sprintf("%d\n%s", holders, s.Tree())
	})
	return pid
}

const (
	srvFiles = 64 // that the worker of srvStartPoor may open
	srvWord  = "out of file descriptors"
)

// srvStartPoor starts a server whose processes may open few files.
func srvStartPoor(t *testing.T) *harness.Server {
	t.Helper()
	server := harness.Build(t, "../cmd/server")
	o := harness.Options{Workers: 1}
	return harness.StartServer(t, "/bin/sh", func(host, port string) []string {
		limited := []string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, srvFiles), "sh", server}
		return append(append(limited, o.Args("workers", "zk")...), host, port)
	}, o)
}

// srvStarve connects more clients than the worker has descriptors for, each of
// which makes a call.
func srvStarve(t *testing.T, s *harness.Server) []*harness.Conn {
	t.Helper()
	crowd := make([]*harness.Conn, 2*srvFiles)
	for i := range crowd {
		crowd[i] = s.Dial(t)
		crowd[i].SendRequest("ping", i)
	}
	harness.Eventually(t, patience, "no descriptor left, and a word about it", func() (bool, string) {
		open := 0
		for fd := range harness.Descriptors(t, s.Workers(t)[0]) {
			if fd < srvFiles { // it may have inherited one from before the limit
				open++
			}
		}
		return open == srvFiles && strings.Contains(s.Stderr(), srvWord), fmt.Sprintf("%d open\n%s", open, s.Stderr())
	})
	return crowd
}

// A worker out of descriptors: the clients that are in are served, the others
// wait for room. It says so once, and doesn't spin meanwhile.
func TestFaultWorkerOutOfDescriptors(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	began := time.Now()
	s := srvStartPoor(t)
	good := s.Dial(t)
	srvPing(t, good)

	crowd := srvStarve(t, s)
	s.WantIdle(t)
	srvPing(t, good)
	crowd[len(crowd)-1].WantSilence()

	for i, c := range crowd { // as those in leave, those behind come in
		c.WantPong(fmt.Sprint(i))
		c.Close()
	}

	srvPing(t, good)
	s.WantIdle(t)
	words := strings.Count(s.Stderr(), srvWord)
	assert.LessOrEqual(t, words, 1+int(time.Since(began)/(10*time.Second)),
		"words about it: not more than every 10 s\n%s", s.Stderr())
	srvWaitConns(t, s, 1)
}

// It stops in good order in this state, too.
func TestFaultWorkerOutOfDescriptorsIsStopped(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	s := srvStartPoor(t)
	crowd := srvStarve(t, s)
	s.Signal(syscall.SIGTERM)
	crowd[0].WantPong("0")
	crowd[0].WantEOF()
	assert.Zero(t, s.Wait(patience), "exit code")
}

// Workers are killed while fifty callers share one connection to them: every
// call is answered, and with what belongs to it.
func TestFaultWorkerKilledInABurst(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	s := startServer(t, harness.Options{Workers: 2})
	client := srvClient(t, s)
	defer client.Close()

	calls := startCallers(t, client, 50)
	for range 3 {
		calls.wait(s, 500)
		holder := srvHolder(t, s)
		s.SignalEach(syscall.SIGKILL, holder)
		s.WaitWorkers(t, patience, 2, holder)
	}

	calls.wait(s, 500)
	calls.end()
}

// The same with calls that must not run twice: some fail then, and none has run
// twice.
func TestFaultWorkerKilledRunsNoCallTwice(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	s := startServer(t, harness.Options{Workers: 2, Flags: []string{"-v"}})
	client := srvClient(t, s)
	defer client.Close()
	client.Idempotent = func(string) bool { return false }

	stop := make(chan struct{})
	var callers sync.WaitGroup
	var answered, failed atomic.Int64
	for caller := range 20 {
		callers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}

				ctx, cancel := context.WithTimeout(context.Background(), patience)
				params := fmt.Sprintf("<%d of %d>", n, caller)
				reply, _, err := client.Call(ctx, "ping", params)
				cancel()
				if err != nil {
					failed.Add(1)
					continue
				}
				assert.Equal(t, fmt.Sprintf("%q", params), string(reply.Result))
				answered.Add(1)
			}
		})
	}

	hundredMore := func() {
		t.Helper()
		before := answered.Load()
		harness.Eventually(t, patience, "100 more calls answered", func() (bool, string) {
			more := answered.Load() - before
			return more >= 100, fmt.Sprint(more)
		})
	}

	hundredMore()
	for kills := 0; kills < 5 && failed.Load() == 0; kills++ { // once, unless no call was under way just then
		s.SignalEach(syscall.SIGKILL, srvHolder(t, s))
		hundredMore()
	}

	close(stop)
	callers.Wait()
	assert.Positive(t, failed.Load(), "calls that failed")

	ran := make(map[string]int)
	for line := range strings.Lines(s.Stderr()) {
		if _, params, ok := strings.Cut(line, "<"); ok {
			ran[params]++
		}
	}

	// A worker that is killed may take its last lines along.
	assert.GreaterOrEqual(t, len(ran), int(answered.Load())*9/10)
	for params, n := range ran {
		assert.Equal(t, 1, n, "runs of call %s", params)
	}
}

// A worker is stopped: its connections are silent, its siblings go on, and new
// connections all go to them. When it goes on it answers what came meanwhile.
func TestFaultWorkerStopped(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	s := startServer(t, harness.Options{Workers: 3})
	s.WaitServing(t, 3)

	conns := make([]*harness.Conn, 30)
	for i := range conns {
		conns[i] = s.Dial(t)
	}

	owners := s.Owners(t, conns...)
	stopped := owners[0]
	s.Freeze(stopped)
	for i, c := range conns {
		c.SendRequest("ping", i)
	}
	for i, c := range conns {
		if owners[i] != stopped {
			c.WantPong(fmt.Sprint(i))
		}
	}

	for range 100 { // new connections
		s.Call(t, "ping", 1)
	}
	conns[0].WantSilence()

	s.SignalEach(syscall.SIGCONT, stopped)
	for i, c := range conns {
		if owners[i] == stopped {
			c.WantPong(fmt.Sprint(i))
		}
	}
}

// The library's client when one of two servers has its worker stopped that
// holds the connection: calls move on, to the other server and to the siblings.
func TestFaultWorkerStoppedUnderCalls(t *testing.T) {
	harness.NeedProc(t)
	t.Parallel()
	a, b := startServer(t, harness.Options{Workers: 2}), startServer(t, harness.Options{Workers: 2})
	client := srvClient(t, a, b)
	defer client.Close()

	calls := startCallers(t, client, 20)
	calls.wait(a, 100)
	calls.wait(b, 100)

	stopped := srvHolder(t, a)
	a.Freeze(stopped)
	calls.waitEach(3)
	calls.wait(a, 100) // by the other worker
	calls.wait(b, 100)

	a.SignalEach(syscall.SIGCONT, stopped)
	calls.wait(a, 100)
	calls.end()
}

// When nobody is left who could answer, a call ends at its deadline.
func TestFaultDeadlinesHoldWhenAllWorkersAreStopped(t *testing.T) {
	t.Parallel()
	s := startServer(t, harness.Options{Workers: 2})
	client := srvClient(t, s)
	defer client.Close()

	call := func(timeout time.Duration) (time.Duration, error) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		began := time.Now()
		_, _, err := client.Call(ctx, "ping", 1)
		return time.Since(began), err
	}

	_, err := call(patience)
	require.NoError(t, err)
	workers := s.Workers(t)
	s.Freeze(workers...)

	// Before the server counts as silent, after 2 s, and afterwards.
	for _, timeout := range []time.Duration{500 * time.Millisecond, 3 * time.Second} {
		took, err := call(timeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.GreaterOrEqual(t, took, timeout)
		assert.Less(t, took, timeout+2*time.Second)
	}

	s.SignalEach(syscall.SIGCONT, workers...)
	_, err = call(patience)
	require.NoError(t, err)
}
