// The programs from outside: what a server and a client promise on the command
// line, with etcd in ZooKeeper's place.

//go:build unix

package etcd

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
)

// startServer starts the server's program with more flags than it needs.
func startServer(t *testing.T, endpoints string, flags ...string) *harness.Server {
	t.Helper()
	return harness.StartServer(t, harness.Build(t, "cmd/server"), func(host, port string) []string {
		args := append([]string{"-workers", "2", "-endpoints", endpoints, "-session", "2s"}, flags...)
		return append(args, host, port)
	}, harness.Options{})
}

func startClient(t *testing.T, endpoints string, flags ...string) *harness.Client {
	t.Helper()
	args := append([]string{
		"-endpoints", endpoints, "-session", "2s", "-n", "100000", "-interval", "1ms", "-wait", "20s",
	}, flags...)
	return &harness.Client{Program: harness.Start(t, harness.Build(t, "cmd/client"), nil, args...)}
}

// waitRegistered waits until exactly these addresses are registered.
func waitRegistered(t *testing.T, s *store, addrs ...string) {
	t.Helper()
	harness.Eventually(t, patience, fmt.Sprintf("%q registered", addrs), func() (bool, string) {
		entries, err := s.Entries(t, root)
		all := fmt.Sprint(entries)
		for _, addr := range addrs {
			_, port, _ := net.SplitHostPort(addr)
			if !strings.Contains(all, endpoint(port)) {
				return false, all
			}
		}
		return err == nil && len(entries) == len(addrs), all
	})
}

func TestServersComeAndGoUnderCalls(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	client := startClient(t, s.Addr())
	a := startServer(t, s.Addr())
	client.WaitAnswers(50, a.Addr)
	b := startServer(t, s.Addr())
	client.WaitAnswers(50, b.Addr)
	waitRegistered(t, s, a.Addr, b.Addr)

	a.Signal(syscall.SIGTERM)
	require.Zero(t, a.Wait(patience))
	waitRegistered(t, s, b.Addr)
	a = a.Restart(t)
	client.WaitAnswers(50, a.Addr)

	b.SignalEach(syscall.SIGKILL, b.Workers(t)[0])
	client.WaitAnswers(50, b.Addr)
	b.Kill() // no goodbye
	client.WaitAnswers(50, a.Addr)
	waitRegistered(t, s, a.Addr)

	require.NoError(t, s.Restart())
	b = b.Restart(t)
	client.WaitAnswers(50, b.Addr)
	require.NoError(t, s.Wipe())
	waitRegistered(t, s, a.Addr, b.Addr)
	c := startServer(t, s.Addr())
	client.WaitAnswers(50, c.Addr)
	summary := client.Interrupt()
	assert.Zero(t, summary.Failed, client.Stderr())
}

func TestRegistrationEndsBeforeTheServerDoes(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	proxy := netproxy.StartT(t, s.Addr())
	server := startServer(t, proxy.Addr())
	waitRegistered(t, s, server.Addr)
	proxy.Partition(netproxy.ToClient) // the server doesn't hear that its key is gone
	server.Signal(syscall.SIGTERM)
	waitRegistered(t, s)
	assert.Equal(t, "pong", server.Call(t, "ping", "still there?").Kind)
	require.NoError(t, proxy.Heal())
	require.Zero(t, server.Wait(patience))
}

func TestServerWithoutEtcd(t *testing.T) {
	server := startServer(t, "127.0.0.1:1")
	assert.Equal(t, "pong", server.Call(t, "ping", "hello").Kind)
	harness.Eventually(t, patience, "a word about it", func() (bool, string) {
		return strings.Contains(server.Stderr(), "not registered"), server.Stderr()
	})
	server.WantIdle(t)
	server.Signal(syscall.SIGTERM)
	require.Zero(t, server.Wait(5*time.Second))
}

func TestClientWithoutServers(t *testing.T) {
	s := &store{startEtcd(t, nil)}
	client := startClient(t, s.Addr(), "-wait", "0")
	require.Equal(t, 1, client.Wait(patience))
	assert.Contains(t, client.Stderr(), "client: "+rpc.ErrNoServer.Error()+" under /demo in etcd at "+s.Addr())
	client = startClient(t, "127.0.0.1:1", "-wait", "0")
	require.Equal(t, 1, client.Wait(patience))
	assert.Contains(t, client.Stderr(), "client: can't read the list of servers under /demo in etcd at 127.0.0.1:1: ")
}

func TestWrongUsage(t *testing.T) {
	server := harness.Build(t, "cmd/server")
	for _, c := range []struct{ says, args string }{
		{`"localhost" must be host:port`, "-endpoints localhost 127.0.0.1 0"},
		{`"http://127.0.0.1:2379" must be host:port`, "-endpoints http://127.0.0.1:2379 127.0.0.1 0"},
		{`"demo" is not an absolute path`, "-root demo 127.0.0.1 0"},
		{"-session must be at least 2s", "-session 1s 127.0.0.1 0"},
		{"in whole seconds", "-session 2500ms 127.0.0.1 0"},
		{"-user: credentials must be user:password", "-user alice 127.0.0.1 0"},
		{"-cert and -key go together", "-cert cert.pem 127.0.0.1 0"},
		{"no such file", "-cacert missing.pem 127.0.0.1 0"},
		{"-advertise", "0.0.0.0 0"},
	} {
		_, stderr, code := harness.Run(t, server, "", strings.Fields(c.args)...)
		assert.Equal(t, 2, code, c.args)
		assert.Contains(t, stderr, c.says)
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	s, _ := guarded(t)
	server := harness.StartServer(t, harness.Build(t, "cmd/server"), func(host, port string) []string {
		return []string{"-workers", "1", "-endpoints", s.Addr(), "-session", "2s", "-v", host, port}
	}, harness.Options{Env: []string{"ETCD_USER=alice:alice's secret"}})
	harness.Eventually(t, patience, "a registration", func() (bool, string) {
		return strings.Contains(server.Stderr(), "registered key="), server.Stderr()
	})
	for _, pid := range server.Workers(t) {
		assert.NotContains(t, environment(t, pid), "secret")
	}
	assert.NotContains(t, server.Stderr()+server.Stdout(), "secret")
}

// environment returns what a process was started with. It needs /proc: without,
// it skips the test.
func environment(t *testing.T, pid int) string {
	harness.NeedProc(t)
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	require.NoError(t, err)
	require.NotEmpty(t, environment)
	return string(environment)
}
