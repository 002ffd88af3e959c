// Tests of the wire client: what it accepts, and what it says of bad servers.

package harness

import (
	"encoding/json"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// against runs a test whose connection has this function at its other end.
func against(t *testing.T, serve func(conn *net.TCPConn), test func(c *Conn)) (failed bool, log string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			serve(conn.(*net.TCPConn))
			conn.Close()
		}
	}()
	return record(t, func(t testing.TB) {
		c := Dial(t, ln.Addr().String())
		c.Timeout = 2 * time.Second
		test(c)
	})
}

// says sends these bytes and ends the connection.
func says(bytes string) func(conn *net.TCPConn) {
	return func(conn *net.TCPConn) { _, _ = conn.Write([]byte(bytes)) }
}

func TestRequest(t *testing.T) {
	assert.Equal(t, `{"in":"ping","params":[1,"x"]}`, Request("ping", []any{1, "x"}))
	assert.Equal(t, `{"in":"ping","params":[1,  "<>"]}`, Request("ping", json.RawMessage(`[1,  "<>"]`)))
	assert.Equal(t, "\x02\x00\x00\x00ab", string(Frame("ab")))
}

func TestGoodReplies(t *testing.T) {
	pong := string(Frame(`{"out":"pong","result":"<&> 12345678901234567890"}`))
	failed, log := against(t, says(pong+pong+pong+string(Frame(`{"out":"error","result":"why"}`))), func(c *Conn) {
		assert.Equal(t, `"<&> 12345678901234567890"`, string(c.ReadReply().Result))
		c.WantReply("pong", `"\u003c&> 12345678901234567890"`)
		c.WantEcho(`"<&> 12345678901234567890"`)
		c.WantError()
		c.WantEOF()
	})
	assert.False(t, failed, log)
}

func TestBadReplies(t *testing.T) {
	long := `{"out":"pong","result":"` + strings.Repeat("x", 300) + `"}`
	read := func(c *Conn) { c.ReadReply() }
	for _, test := range []struct {
		name, sent string
		verb       func(c *Conn)
		want       string
	}{
		{"nothing", "", read, "EOF"},
		{"half a length", "\x05\x00", read, "ended inside a reply: 2 of the 4 bytes"},
		{"half a reply", "\x05\x00\x00\x00ab", read, "ended inside a reply: 2 of the 5 bytes"},
		{"big-endian", "\x00\x00\x00\x1e{}", read,
			"00 00 00 1e 7b 7d  {}\n            ^^^^^^^^^^^ announces 503316480 bytes; read as big-endian, 30"},
		{"other bytes", string(Frame(`{"out":"pong","result":[1,  2]}`)),
			func(c *Conn) { c.WantEcho("[1,2]") }, "pong [1,  2]"},
		{"not JSON", string(Frame("{out}")), read, "not JSON"},
		{"no result", string(Frame(`{"out":"pong"}`)), read, `without "out" or "result"`},
		{"another kind", string(Frame(`{"out":"error","result":"no"}`)),
			func(c *Conn) { c.WantPong("1") }, `error "no"`},
		{"another result", string(Frame(long)), func(c *Conn) { c.WantPong(`"xxz"`) },
			`302 bytes where 5 were expected; from byte 0 on: "xxx`},
		{"no error", string(Frame(long)), (*Conn).WantError, `expected  a reply of kind "error"`},
		{"no reply for an error", string(Frame(`{"out":"pong","result":}`)), (*Conn).WantError,
			"expected  an error reply within 2s"},
		{"a long request", "", func(c *Conn) { c.Send(make([]byte, 1000)); c.ReadReply() }, "… (1000 bytes)"},
		{"an error that says nothing", string(Frame(`{"out":"error","result":""}`)), (*Conn).WantError,
			`whose result is a text`},
		{"more bytes", "more", (*Conn).WantEOF, "4 more bytes\n            00000000  6d 6f 72 65"},
		{"too early", "x", (*Conn).WantSilence, "1 bytes buffered"},
	} {
		failed, log := against(t, says(test.sent), test.verb)
		assert.True(t, failed, test.name)
		assert.Contains(t, log, test.want, test.name)
	}
}

func TestSilentAndResettingServers(t *testing.T) {
	wait := make(chan struct{})
	silent := func(conn *net.TCPConn) { <-wait }
	for _, verb := range []func(c *Conn){func(c *Conn) { c.ReadReply() }, (*Conn).WantEOF} {
		failed, log := against(t, silent, func(c *Conn) { c.Timeout = 30 * time.Millisecond; verb(c) })
		assert.True(t, failed)
		assert.Contains(t, log, "within 30ms")
		assert.Contains(t, log, "i/o timeout")
	}
	failed, log := against(t, silent, func(c *Conn) { c.WantSilence(); c.WantSilence() })
	assert.False(t, failed, log)
	close(wait)

	failed, log = against(t, func(conn *net.TCPConn) { _ = conn.SetLinger(0) }, (*Conn).WantEOF)
	assert.True(t, failed)
	assert.Contains(t, log, "connection reset by peer")
	failed, _ = against(t, says(""), (*Conn).WantSilence)
	assert.True(t, failed, "the end is not silence")
}

func TestRefuses(t *testing.T) {
	log := mustFail(t, func(t testing.TB) { fake(t, "-mute").Refuses(t) })
	assert.Contains(t, log, "expected  a new connection refused, or answered, within a second")
	assert.Contains(t, log, "accepted, and then silence")
	refused, got := fake(t).Refuses(t)
	assert.False(t, refused)
	assert.Equal(t, `answered: pong "anybody?"`, got)
}

func TestOwners(t *testing.T) {
	s := fake(t)
	a, b := s.Dial(t), s.Dial(t)
	assert.Equal(t, []int{s.PID, s.PID}, s.Owners(t, a, b))
	assert.Equal(t, s.PID, s.PIDOf(a))
	assert.Equal(t, []int{s.PID}, s.WaitServing(t, 1))

	s.Freeze(s.PID)
	queued := s.Dial(t)
	assert.Zero(t, s.PIDOf(queued))
	a.SendRequest("ping", 1)
	assert.Positive(t, sockets(t)[a.serverEnd()].unread)
	s.Signal(syscall.SIGCONT)
	s.WaitRead(t, a)
	a.WantPong("1")
	assert.Equal(t, []int{s.PID}, s.Owners(t, queued))
}

func TestDialSmall(t *testing.T) {
	s := fake(t)
	c := DialSmall(t, s.Addr)
	c.Timeout = 300 * time.Millisecond
	var err error
	for sent := 0; sent < 64<<20 && err == nil; sent += 1 << 20 {
		err = c.TrySend(Frame(Request("ping", strings.Repeat("x", 1<<20))))
	}
	assert.True(t, isTimeout(err), "a server that can't write its replies must stop reading: %v", err)
}

func TestLoad(t *testing.T) {
	s := fake(t)
	l := StartLoad(t, s.Addr, 3)
	l.WaitCalls(50)
	s.Kill()
	s.Restart(t)
	l.WaitCalls(50)
	l.end() // what a server that is killed does to its callers is its own affair

	for what, sent := range map[string]string{
		"answered with pong 1":                       string(Frame(`{"out":"pong","result":1}`)),
		"the connection ended inside a reply: 2 of ": "\x01\x00",
	} {
		log := mustFail(t, func(t testing.TB) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()

			l := StartLoad(t, ln.Addr().String(), 1)
			conn, err := ln.Accept()
			require.NoError(t, err)
			_, _ = conn.Read(make([]byte, 1000)) // unread, it would turn the end into a reset
			says(sent)(conn.(*net.TCPConn))
			conn.Close()

			Eventually(t, 5*time.Second, "a broken call", func() (bool, string) {
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.broken) > 0, ""
			})

			ln.Close()
			l.Stop()
		})
		assert.Contains(t, log, what)
	}
}
