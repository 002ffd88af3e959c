// The fault matrix, part master: signals that come to all processes at once,
// workers that hang without a word, a log that nobody reads any more.

//go:build unix

package system

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

// systemd, dumb-init and others send SIGTERM to the whole group. It is the same
// as to the master alone: not even a call that must not run twice fails.
func TestFaultSignalToTheGroup(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	start := func() *harness.Server {
		return startServer(t, harness.Options{
			Workers: 3, ZK: r.zookeeper.Addr(), Root: r.registry.Root, Session: zkLong,
		})
	}
	a, b := start(), start()
	r.registered([]*harness.Server{a, b})

	client := newClient(t, r.zookeeper.Addr(), r.registry.Root, zkLong, 2)
	defer client.Close()
	client.Idempotent = func(string) bool { return false }
	calls := startPacedCallers(t, client, 10, time.Millisecond)

	for range 3 {
		calls.wait(a, 50)
		a.SignalGroup(syscall.SIGTERM)
		assert.Zero(t, a.Wait(patience))
		calls.wait(b, 50)
		a = a.Restart(t)
	}

	calls.wait(a, 50)
	calls.end()
	r.stop(a, patience)
	r.stop(b, patience)
}

// The same while ZooKeeper hangs, which takes the master some seconds. Nobody
// who finds the server meanwhile is left hanging, or reset.
func TestFaultSignalToTheGroupWhileZooKeeperHangs(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, zktest.Start(t))
	s := startServer(t, harness.Options{Workers: 2, ZK: r.zookeeper.Addr(), Root: r.registry.Root, Session: zkLong})
	r.registered([]*harness.Server{s})
	r.zookeeper.Pause()
	defer r.zookeeper.Resume()
	s.SignalGroup(syscall.SIGTERM)
	for began := time.Now(); time.Since(began) < time.Second; {
		require.Equal(t, "pong 1", s.Call(t, "ping", 1).String())
	}
	assert.Zero(t, s.Wait(patience))
}

// All workers hang, and nobody has a word to say of it.
func TestFaultWorkersHang(t *testing.T) {
	t.Parallel()
	s := startServer(t, harness.Options{Workers: 2, Flags: []string{"-hang-timeout", "2s"}})
	s.WaitServing(t, 2)
	client := srvClient(t, s)
	defer client.Close()
	hanging := s.Workers(t)
	s.Freeze(hanging...)
	s.WaitWorkers(t, patience, 2, hanging...)
	calls := startCallers(t, client, 10)
	calls.wait(s, 100)
	calls.end()
	assert.Contains(t, s.Stderr(), "worker hangs")
}

// "server 2>&1 | tee log", and Ctrl-C ends tee first.
func TestFaultLogReaderGone(t *testing.T) {
	t.Parallel()
	r := newZKRow(t, sharedZooKeeper(t))
	reader, log, err := os.Pipe()
	require.NoError(t, err)
	s := startServer(t, harness.Options{
		Workers: 2, ZK: r.zookeeper.Addr(), Root: r.registry.Root, Session: zkLong,
		Flags: []string{"-v"}, Output: log,
	})

	log.Close()
	r.registered([]*harness.Server{s})
	workers := s.WaitServing(t, 2)

	reader.Close()
	for range 20 {
		require.Equal(t, "pong 1", s.Call(t, "ping", 1).String()) // a line each
	}
	assert.ElementsMatch(t, workers, s.Workers(t))

	s.SignalEach(syscall.SIGKILL, workers[0])
	s.WaitWorkers(t, patience, 2, workers[0])
	s.SignalGroup(syscall.SIGINT)
	assert.Zero(t, s.Wait(patience))
	r.registry.WaitNone(zkLong / 2)
}

// -v, and the reader of the log stands still: a pipe is full after some 1,000
// calls.
func TestFaultLogReaderStalled(t *testing.T) {
	t.Parallel()
	reader, log, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()

	s := startServer(t, harness.Options{Workers: 2, Flags: []string{"-v"}, Output: log})
	log.Close()
	client := srvClient(t, s)
	defer client.Close()

	calls := startCallers(t, client, 10)
	calls.wait(s, 5000)
	calls.end()

	began := time.Now()
	s.Signal(syscall.SIGTERM)
	assert.Zero(t, s.Wait(patience))
	assert.Less(t, time.Since(began), 5*time.Second)
}
