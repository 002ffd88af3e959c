// Servers: programs that listen on a port.

package harness

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/freeport"
)

// startTimeout bounds the time from a program's start until it accepts
// connections. Many of them may be starting at once, with the race detector.
var startTimeout = 20 * time.Second

// A server that needs more than slowStart may have maxSlow for all its starts
// together, one for each milestone. An interpreter on a machine that is very
// busy with other things starts within some seconds.
const (
	slowStart = 10 * time.Second
	maxSlow   = 2 * time.Minute
)

// A Server is a program that listens on Addr.
type Server struct {
	*Program
	Addr string // host:port

	launch *launch
	env    []string
}

// StartServer starts the program bin with the arguments that args returns for
// a host and a free port, and waits until it accepts a connection. Of the
// options it uses how it is started; args must see to the others. The
// port stays reserved until the end of the test, so that the server can be
// started there again.
func StartServer(t testing.TB, bin string, args func(host, port string) []string, o Options) *Server {
	t.Helper()
	begin(t)
	port, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	l := &launch{bin: bin, args: args("127.0.0.1", strconv.Itoa(port)),
		output: o.Output, ignored: o.Ignored, files: o.Files}
	s := newServer(l, port, o.Env)
	Given(t, func() { s.start(t) })
	return s
}

func newServer(l *launch, port int, env []string) *Server {
	return &Server{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), launch: l, env: env}
}

// Restart starts the same command line again, after the program has ended,
// and waits until it accepts a connection. The Server returned is the new one.
// If that fails, it is a matter of the milestone, such as a port that is taken:
// it worked before.
func (s *Server) Restart(t testing.TB) *Server {
	t.Helper()
	again := &Server{Addr: s.Addr, launch: s.launch, env: s.env}
	again.start(t)
	return again
}

func (s *Server) start(t testing.TB) {
	t.Helper()
	s.Program = startIn(t, s.launch, s.env)
	listens(t, s.Addr, s.lane())
	what := "a connection accepted on " + s.Addr
	Eventually(t, startTimeout, what, func() (bool, string) {
		if s.Ended() { // asked before dialing: somebody else may listen there
			fail(t, what,
				fmt.Sprintf("the program ended with exit code %d before it accepted a connection", s.exitCode()))
		}
		conn, err := net.DialTimeout("tcp", s.Addr, time.Until(until(t, startTimeout)))
		if err != nil {
			return false, err.Error() + words(", while the program says", s.Stdout(), s.Stderr())
		}
		conn.Close()
		return true, ""
	})
}

// Refuses tells whether a new connection is refused at once, as it is when
// nobody listens; got says what happened to it. A connection that is accepted
// and then neither answered nor ended within a second fails the test: its
// caller hangs.
func (s *Server) Refuses(t testing.TB) (refused bool, got string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		if isTimeout(err) {
			fail(t, "a new connection refused, or answered, within a second", "no answer to the handshake")
		}
		return true, err.Error()
	}

	c := newConn(t, conn)
	defer c.Close()
	c.Timeout = time.Second

	reply, err := c.TryCall("ping", "anybody?")
	if isTimeout(err) {
		fail(t, "a new connection refused, or answered, within a second", "accepted, and then silence")
	}
	if err != nil {
		return false, "accepted, then " + err.Error()
	}
	return false, "answered: " + reply.String()
}

// WaitRefused waits until new connections are refused, and fails the test if
// one hangs meanwhile.
func (s *Server) WaitRefused(t testing.TB, within time.Duration) {
	t.Helper()
	Eventually(t, within, "new connections refused", func() (bool, string) { return s.Refuses(t) })
}

// WaitPortFree waits until another program could listen on the server's port.
func (s *Server) WaitPortFree(t testing.TB, within time.Duration) {
	t.Helper()
	Eventually(t, within, fmt.Sprintf("%s free for another server", s.Addr), func() (bool, string) {
		listener, err := net.Listen("tcp", s.Addr)
		if err != nil {
			return false, err.Error()
		}
		listener.Close()
		return true, ""
	})
}

// Dial connects to the server.
func (s *Server) Dial(t testing.TB) *Conn {
	t.Helper()
	return Dial(t, s.Addr)
}

// Call makes one call on a connection of its own and returns the reply. The
// params are encoded as JSON; a json.RawMessage is sent as it is.
func (s *Server) Call(t testing.TB, method string, params any) Reply {
	t.Helper()
	c := s.Dial(t)
	defer c.Close()
	return c.Call(method, params)
}
