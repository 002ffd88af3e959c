// Tests of how long a session waits: not forever where the library would, and
// not too short either.

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zktest"
)

// A blackHole passes connections on to ZooKeeper or swallows them: a swallowed
// one is accepted and never answered, and healing doesn't save it.
type blackHole struct {
	addr      string
	swallows  atomic.Bool
	swallowed atomic.Int64
}

func newBlackHole(t *testing.T, zookeeper string) *blackHole {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	b := &blackHole{addr: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.carry(conn, zookeeper)
		}
	}()
	return b
}

func (b *blackHole) carry(conn net.Conn, zookeeper string) {
	defer conn.Close()
	if b.swallows.Load() {
		b.swallowed.Add(1)
		_, _ = io.Copy(io.Discard, conn) // until the client gives up
		return
	}

	server, err := net.Dial("tcp", zookeeper)
	if err != nil {
		return
	}

	go func() {
		_, _ = io.Copy(server, conn)
		server.Close()
	}()
	_, _ = io.Copy(conn, server)
}

func TestSessionThroughBlackHole(t *testing.T) {
	zookeeper := zktest.Start(t)
	hole := newBlackHole(t, zookeeper.Addr())
	proxy := netproxy.StartT(t, hole.addr) // only to cut what is connected
	const timeout = time.Second
	s := openSession(t, proxy.Addr(), timeout)
	id := s.Conn().SessionID()
	registry := zktest.NewRegistry(t, zookeeper, "/hole")
	note := registry.Plant("note", "", false)
	_, err := Do(s, func(c *zk.Conn) (string, error) {
		return c.Create("/hole/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	})
	require.NoError(t, err)

	hole.swallows.Store(true)
	proxy.Reset()
	harness.Eventually(t, soon, "a handshake that is swallowed", func() (bool, string) {
		return hole.swallowed.Load() > 0, "none"
	})
	registry.Wait(soon, "an expired session", func(nodes []zktest.Node) bool {
		return len(nodes) == 1 && nodes[0] == note
	})
	hole.swallows.Store(false)
	healed := time.Now()
	waitSession(t, s, soon, id)
	// Half a timeout for a handshake that was swallowed, and a second of rest
	// that the library takes when it has tried all addresses.
	assert.Less(t, time.Since(healed), timeout/2+1200*time.Millisecond)
}

// Members that accept a connection and say nothing cost a second each, however
// long the session may be.
func TestSessionDespiteMembersThatHang(t *testing.T) {
	zookeeper := zktest.Start(t)
	hole := newBlackHole(t, zookeeper.Addr())
	hole.swallows.Store(true)
	addrs := zookeeper.Addr() + strings.Repeat(","+hole.addr, 2)

	began := time.Now()
	var sessions []*Session
	for range 5 { // which address comes first is left to chance
		sessions = append(sessions, newSession(t, addrs, 40*time.Second))
	}
	for _, s := range sessions {
		waitSession(t, s, soon)
	}

	require.NotZero(t, hole.swallowed.Load(), "who never asks one that hangs proves nothing")
	assert.Less(t, time.Since(began), 2*handshakePatience+3*time.Second)
}

// Of several addresses each gets its three tries, and then there is a pause
// before each round.
func TestHostListPausesBeforeEachFurtherRound(t *testing.T) {
	for n := 1; n <= 3; n++ {
		h := &hostList{}
		hosts := []string{"a", "b", "c"}[:n]
		h.Init(hosts)

		for range 2 {
			h.Connected()
			for try := range 6 * n {
				host, pause := h.Next()
				require.Equal(t, hosts[try%n], host, "%d addresses, try %d", n, try)
				require.Equal(t, try >= 3*n && try%n == 0, pause, "%d addresses, try %d", n, try)
			}
		}
	}
}

// The whole answer to a handshake must come within the patience, not its
// length and then its rest.
func TestHandshakePatienceIsGrantedOnce(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := &tcpConn{Conn: near, opened: time.Now().Add(-time.Minute), patience: time.Minute}
	for _, part := range []string{"the length", "the rest"} {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		err := bounded(t, soon, func() error { _, err := c.Read(make([]byte, 4)); return err })
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, part)
	}
}

// When all are slow, they are given more time.
func TestSessionWithASlowMember(t *testing.T) {
	zookeeper := zktest.Start(t)
	proxy := netproxy.StartT(t, zookeeper.Addr())
	proxy.Delay(handshakePatience * 6 / 10) // there, and back
	s := openSession(t, proxy.Addr(), 40*time.Second)
	proxy.Delay(0)
	require.Equal(t, 40*time.Second, s.Timeout())
}

// Of all the connections that a session makes only the last one stays open:
// nothing is left to the garbage collector.
func TestSessionLeavesNoConnection(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	zookeeper := zktest.Start(t)
	gate := zktest.NewGate(t, zookeeper)
	s := openSession(t, gate.Addr(), time.Second)
	one := func() (bool, string) { return gate.Conns() == 1, fmt.Sprintf("%d connections", gate.Conns()) }

	for range 3 { // the library forgets the one on which it learns that the session has expired
		old := s.Conn().SessionID()
		require.NoError(t, gate.Expire())
		waitSession(t, s, soon, old)
	}
	harness.Eventually(t, soon, "one connection after three sessions", one)

	gate.Partition(netproxy.Both) // until the session starts anew
	harness.Eventually(t, soon, "a new start", func() (bool, string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.generation > 1, "none"
	})
	require.NoError(t, gate.Heal())
	waitSession(t, s, soon)
	harness.Eventually(t, soon, "one connection after a new start", one)
}

// ZooKeeper may make a session longer than asked. Then its pings are further
// apart, too.
func TestSessionLongerThanAsked(t *testing.T) {
	zookeeper := zktest.Start(t)
	proxy := netproxy.StartT(t, zookeeper.Addr())
	s := openSession(t, proxy.Addr(), 200*time.Millisecond) // ZooKeeper's shortest is a second
	won := wonAt(s)
	for begin := time.Now(); time.Since(begin) < 2*time.Second; { // the length of what is tested
		require.NotNil(t, s.Conn())
		time.Sleep(20 * time.Millisecond)
	}
	require.Equal(t, won, wonAt(s), "the connection was never lost")
	require.Equal(t, time.Second, s.Timeout())
}

// What counts is what ZooKeeper grants: before that is over a session isn't
// given up, and the log tells who asked for another.
func TestSessionTimeoutGranted(t *testing.T) {
	zookeeper := zktest.Start(t, "minSessionTimeout=15000\nmaxSessionTimeout=20000")
	hole := newBlackHole(t, zookeeper.Addr())
	proxy := netproxy.StartT(t, hole.addr) // only to cut what is connected
	logged := harness.CaptureLog(t)

	s := openSession(t, proxy.Addr(), time.Second)
	require.Equal(t, 15*time.Second, s.Timeout())
	id := s.Conn().SessionID()
	hole.swallows.Store(true)
	proxy.Reset()
	harness.Eventually(t, soon, "five attempts", func() (bool, string) {
		n := hole.swallowed.Load()
		return n >= 5, fmt.Sprint(n)
	})
	hole.swallows.Store(false)
	require.Equal(t, id, waitSession(t, s, soon), "the same session")

	long := openSession(t, zookeeper.Addr(), time.Minute)
	require.Equal(t, 20*time.Second, long.Timeout())
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, long.Close(t.Context()))
	waitQuiet(t)
	require.Equal(t, 1, strings.Count(logged(), "asked=1s granted=15s"), "%s", logged())
	require.Equal(t, 1, strings.Count(logged(), "asked=1m0s granted=20s"), "%s", logged())
}

// A deadlineLog is a connection that notes which functions set its read
// deadlines.
type deadlineLog struct {
	net.Conn
	set chan<- string
}

func (l deadlineLog) SetReadDeadline(t time.Time) error {
	caller, _, _, _ := runtime.Caller(1)
	l.set <- runtime.FuncForPC(caller).Name()
	return l.Conn.SetReadDeadline(t)
}

// A tcpConn counts the read deadlines that the library sets, and knows by that
// where it is; and Close knows for how long the library waits. With another
// version of the library, look whether zk.Conn's authenticate, recvLoop and
// Close are still as zkdial.go and zksession.go say, and enter that version
// here.
func TestTheLibraryIsAsItWas(t *testing.T) {
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/go-zookeeper/zk").Output()
	require.NoError(t, err)
	require.Equal(t, "v1.0.4", strings.TrimSpace(string(version)))

	zookeeper := zktest.Start(t)
	set := make(chan string, 100)
	dial := func(network, addr string, timeout time.Duration) (net.Conn, error) {
		conn, err := net.DialTimeout(network, addr, timeout)
		return deadlineLog{conn, set}, err
	}
	conn, _, err := zk.Connect([]string{zookeeper.Addr()}, soon, zk.WithDialer(dial), zk.WithLogger(debugLog{}))
	require.NoError(t, err)
	defer conn.Close()

	want := map[int]string{
		authenticateBegins: "authenticate",
		authenticateGoesOn: "authenticate",
		recvLoopBegins:     "recvLoop",
	}
	for i := 1; i <= len(want); i++ {
		select {
		case function := <-set:
			require.Equal(t, "github.com/go-zookeeper/zk.(*Conn)."+want[i], function, "deadline %d", i)
		case <-time.After(soon):
			require.FailNow(t, "no deadline", "%d", i)
		}
	}
}
