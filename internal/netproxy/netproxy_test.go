// Tests of the proxy: each fault does what its method says and nothing else,
// and Close leaves nothing behind.
package netproxy

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	soon  = 5 * time.Second        // for what must happen
	quiet = 100 * time.Millisecond // for what must not: long enough to see it on loopback
)

// echo starts a server that sends back what it gets, and half-closes when its
// client does.
func echo(t *testing.T) (addr string) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				// Without splice, whose pooled pipes would be counted as leaked
				// descriptors.
				io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		group.Wait()
	})
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", addr, soon)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := conn.Write([]byte(text))
	require.NoError(t, err)
}

func receive(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(soon))
	got := make([]byte, len(text))
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func receiveNothing(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(quiet))
	n, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "read %d bytes", n)
}

func readError(conn net.Conn) error {
	conn.SetReadDeadline(time.Now().Add(soon))
	_, err := conn.Read(make([]byte, 1))
	return err
}

func talk(t *testing.T, conn net.Conn) {
	t.Helper()
	send(t, conn, "hello")
	receive(t, conn, "hello")
}

func noConnsLeft(t *testing.T, p *Proxy) {
	t.Helper()
	require.Eventually(t, func() bool { return p.Conns() == 0 }, soon, time.Millisecond)
}

func TestPassesBytesAndEnds(t *testing.T) {
	p := StartT(t, echo(t))
	conn := dial(t, p.Addr())
	talk(t, conn)
	assert.Equal(t, 1, p.Conns())

	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		conn.Write(sent)
		conn.CloseWrite() // the server must see this and still be able to answer
	}()
	conn.SetReadDeadline(time.Now().Add(soon))
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got), "%d of %d bytes, or others", len(got), len(sent))
	noConnsLeft(t, p)
}

func TestResetByOneSideReachesTheOther(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	p := StartT(t, listener.Addr().String())
	client := dial(t, p.Addr())
	server, err := listener.Accept()
	require.NoError(t, err)
	server.(*net.TCPConn).SetLinger(0)
	server.Close()
	assert.ErrorIs(t, readError(client), syscall.ECONNRESET)
	noConnsLeft(t, p)
}

func TestNoServerResetsTheClient(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	listener.Close()
	p := StartT(t, listener.Addr().String())
	conn, err := net.DialTimeout("tcp4", p.Addr(), soon)
	if err == nil { // else the reset was there before connect returned
		defer conn.Close()
		err = readError(conn)
	}
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	noConnsLeft(t, p)
}

func TestRefuse(t *testing.T) {
	p := StartT(t, echo(t))
	old := dial(t, p.Addr())
	talk(t, old)
	for range 2 {
		p.Refuse()
		p.Refuse() // no harm
		_, err := net.DialTimeout("tcp4", p.Addr(), soon)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		talk(t, old)
		require.NoError(t, p.Heal())
		talk(t, dial(t, p.Addr()))
	}
}

func TestReset(t *testing.T) {
	p := StartT(t, echo(t))
	conn := dial(t, p.Addr())
	talk(t, conn)
	p.Reset()
	assert.ErrorIs(t, readError(conn), syscall.ECONNRESET)
	noConnsLeft(t, p)
	talk(t, dial(t, p.Addr()))
}

func TestCutEndsWithFIN(t *testing.T) {
	p := StartT(t, echo(t))
	conn := dial(t, p.Addr())
	talk(t, conn)
	p.Cut()
	send(t, conn, "unread bytes in the proxy must not turn its FIN into RST")
	assert.ErrorIs(t, readError(conn), io.EOF)
	assert.Equal(t, 1, p.Conns(), "the client has not closed its side")
	conn.Close()
	noConnsLeft(t, p)
	talk(t, dial(t, p.Addr()))
}

func TestPartitionHoldsUntilHeal(t *testing.T) {
	for name, way := range map[string]Direction{"to the server": ToServer, "to the client": ToClient, "both": Both} {
		t.Run(name, func(t *testing.T) {
			p := StartT(t, echo(t))
			old := dial(t, p.Addr())
			talk(t, old)
			p.Partition(way)
			send(t, old, "held")
			receiveNothing(t, old)
			young := dial(t, p.Addr())
			send(t, young, "held too")
			receiveNothing(t, young)
			require.NoError(t, p.Heal())
			receive(t, old, "held")
			receive(t, young, "held too")
		})
	}
}

func TestPartitionHasADirection(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	p := StartT(t, listener.Addr().String())
	client := dial(t, p.Addr())
	server, err := listener.Accept()
	require.NoError(t, err)
	defer server.Close()

	p.Partition(ToServer)
	send(t, server, "down")
	receive(t, client, "down")
	send(t, client, "up")
	receiveNothing(t, server)
	require.NoError(t, p.Heal())
	receive(t, server, "up")

	p.Partition(ToClient)
	send(t, client, "up")
	receive(t, server, "up")
	server.Close() // a close is held like a byte
	receiveNothing(t, client)
	require.NoError(t, p.Heal())
	assert.ErrorIs(t, readError(client), io.EOF)
}

func TestHeldConnectionsCanBeCut(t *testing.T) {
	p := StartT(t, echo(t))
	old := dial(t, p.Addr())
	talk(t, old)
	p.Partition(Both)
	send(t, old, "held")
	young := dial(t, p.Addr())
	require.Eventually(t, func() bool { return p.Conns() == 2 }, soon, time.Millisecond)
	p.Reset()
	assert.ErrorIs(t, readError(old), syscall.ECONNRESET)
	assert.ErrorIs(t, readError(young), syscall.ECONNRESET)
	noConnsLeft(t, p)

	young = dial(t, p.Addr())
	send(t, young, "held")
	require.Eventually(t, func() bool { return p.Conns() == 1 }, soon, time.Millisecond)
	p.Cut()
	assert.ErrorIs(t, readError(young), io.EOF)
	young.Close()
	noConnsLeft(t, p)
}

func TestDropReplies(t *testing.T) {
	p := StartT(t, echo(t))
	conn := dial(t, p.Addr())
	talk(t, conn)
	p.DropReplies()
	send(t, conn, "lost")
	require.Eventually(t, func() bool { return p.Dropped() == 4 }, soon, time.Millisecond, "the server never answered")
	receiveNothing(t, conn)
	intact := dial(t, p.Addr())
	require.NoError(t, p.Heal())
	assert.ErrorIs(t, readError(conn), syscall.ECONNRESET, "a stream with a hole must not go on")
	talk(t, intact)
	assert.EqualValues(t, 4, p.Dropped())
}

func TestDelay(t *testing.T) {
	p := StartT(t, echo(t))
	conn := dial(t, p.Addr())
	talk(t, conn)

	const delay = 60 * time.Millisecond
	p.Delay(delay)
	start := time.Now()
	talk(t, conn)
	assert.GreaterOrEqual(t, time.Since(start), 2*delay)

	p.Delay(time.Hour)
	send(t, conn, "stuck")
	receiveNothing(t, conn)
	p.Delay(0)
	receive(t, conn, "stuck")
}

func TestBandwidth(t *testing.T) {
	p := StartT(t, echo(t))
	conn := dial(t, p.Addr())
	talk(t, conn)
	p.Bandwidth(100_000)
	text := strings.Repeat("x", 30_000)
	start := time.Now()
	go conn.Write([]byte(text))
	receive(t, conn, text)
	assert.GreaterOrEqual(t, time.Since(start), 290*time.Millisecond, "30,000 bytes at 100,000 a second")
	p.Bandwidth(0)
	talk(t, conn)
}

func TestTapSeesReplies(t *testing.T) {
	var mutex sync.Mutex
	var taps []*bytes.Buffer
	p, err := NewTapped(echo(t), func() io.Writer {
		mutex.Lock()
		defer mutex.Unlock()
		taps = append(taps, &bytes.Buffer{})
		return taps[len(taps)-1]
	})
	require.NoError(t, err)
	defer p.Close()

	for range 2 {
		conn := dial(t, p.Addr())
		talk(t, conn)
		talk(t, conn)
	}

	p.Close() // no tap is written to after this
	require.Len(t, taps, 2)
	for _, tap := range taps {
		assert.Equal(t, "hellohello", tap.String())
	}
}

func TestEndedConnectionsAreClosed(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector closes lost sockets and would hide the leak
	p := StartT(t, echo(t))
	talk(t, dial(t, p.Addr())) // opens what stays open: the runtime's descriptors
	files := openFiles(t)
	for range 20 {
		conn := dial(t, p.Addr())
		talk(t, conn)
		conn.CloseWrite()
		assert.ErrorIs(t, readError(conn), io.EOF)
		conn.Close()
	}
	assert.Eventually(t, func() bool { return openFiles(t) <= files && p.Conns() == 1 }, soon, time.Millisecond)
}

// The proxy is closed in the middle of everything: blocked writes, held and
// delayed bytes, half-dialled connections.
func TestCloseLeavesNothingBehind(t *testing.T) {
	server := echo(t)
	talk(t, dial(t, server))                         // the runtime's own descriptors (epoll) are open from here on
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // as above
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	for i := range 4 {
		p, err := New(server)
		require.NoError(t, err)
		var conns []*net.TCPConn
		for range 5 {
			conn := dial(t, p.Addr())
			conns = append(conns, conn)
			talk(t, conn)
		}

		switch i {
		case 0:
			p.Partition(Both)
		case 1:
			p.Delay(time.Hour)
		case 2:
			p.Cut()
		case 3:
			p.Refuse()
		}

		for _, conn := range conns {
			// Nobody reads the echo: this fills every buffer on the way.
			conn.SetWriteDeadline(time.Now().Add(quiet / 5))
			conn.Write(make([]byte, 16<<20))
		}
		if i != 3 {
			conns = append(conns, dial(t, p.Addr()))
		}

		p.Close()
		p.Close()
		require.NoError(t, p.Heal())
		_, err = net.DialTimeout("tcp4", p.Addr(), soon)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.Zero(t, p.Conns())

		for _, conn := range conns {
			conn.Close()
		}
	}

	// Not require.Eventually: it runs its condition on one more goroutine.
	deadline := time.Now().Add(soon)
	for runtime.NumGoroutine() > goroutines || openFiles(t) > files {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("goroutines: %d before, %d now; descriptors: %d before, %d now\n%s",
				goroutines, runtime.NumGoroutine(), files, openFiles(t), stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/dev/fd")
	require.NoError(t, err)
	return len(entries)
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	p := StartT(t, echo(t))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				conn, err := net.DialTimeout("tcp4", p.Addr(), soon)
				if err != nil {
					continue
				}
				conn.SetDeadline(time.Now().Add(20 * time.Millisecond))
				conn.Write([]byte("hello"))
				conn.Read(make([]byte, 5))
				conn.Close()
			}
		})
	}

	for _, fault := range []func(){p.Refuse, p.Reset, p.Cut, p.DropReplies, func() { p.Partition(Both) },
		func() { p.Delay(time.Millisecond) }, func() { p.Bandwidth(1000) }, func() { p.Heal() }} {
		group.Go(func() {
			for range 50 {
				fault()
			}
		})
	}

	group.Wait()
	require.NoError(t, p.Heal())
	talk(t, dial(t, p.Addr()))
}

func TestFaultsAreTold(t *testing.T) {
	p := StartT(t, "127.0.0.1:1")
	p.Reset() // nobody listens
	var told []string
	p.Tell(func(what string) { told = append(told, what) })

	p.Refuse()
	p.Reset()
	p.Cut()
	p.Partition(ToClient)
	p.Partition(Both)
	p.Delay(time.Second)
	p.Bandwidth(1000)
	p.DropReplies()
	require.NoError(t, p.Heal())
	p.Close()
	assert.Equal(t, []string{
		"refused new connections", "reset all connections", "ended all connections",
		"held back what goes to the client", "held back what goes in both directions", "delayed what passes by 1s",
		"limited connections to 1000 bytes per second, 0 being no limit", "dropped what servers send",
		"let everything pass again",
	}, told, "and nothing of the end")
}
