// A ZooKeeper session that looks after itself. The client library reconnects
// within a session and starts a new one when ZooKeeper has ended the old; this
// file adds what it leaves to its user: bounds on every wait, and a fresh
// start when a connection can't recover by itself.

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
)

const (
	// headStart is for the library to send its watches when it has reconnected:
	// no time at all, unless the machine is very busy.
	headStart = 150 * time.Millisecond

	// handshakePatience is how long ZooKeeper may take to open a session before
	// another member is asked: short, for one that hangs must not use up the
	// session that we have. But all may be slow, and a new session waits for their
	// disks: so it doubles, up to half of the session timeout, whenever as many as
	// there are have kept us waiting.
	handshakePatience = time.Second
)

var (
	// ErrNoSession says that there is no session at the moment; nothing was
	// sent.
	ErrNoSession = errors.New("no ZooKeeper session")
	// ErrUnanswered says that ZooKeeper didn't answer in time: the request may
	// or may not have been carried out, or may be later.
	ErrUnanswered = errors.New("no answer from ZooKeeper")
)

// A Session is one client's relation to ZooKeeper: a chain of sessions, at
// most one alive. It is safe for concurrent use.
type Session struct {
	// Prepare is called with the connection before each request, which is not
	// sent if it returns an error. Set it before the first Do.
	Prepare func(*zk.Conn) error

	hosts   []string
	timeout time.Duration // as asked for
	changed chan struct{} // holds one token when there is news

	mu      sync.Mutex
	conn    *zk.Conn      // nil: closed
	tcp     *watched      // the latest TCP connection
	granted time.Duration // the session timeout, once ZooKeeper has told it
	made    int           // how many conns there have been
	won     time.Time     // when the present session was won, or won back

	// While there is no session:
	lost    time.Time // when the last one was lost; zero: there is one
	dialed  int       // TCP connections made since then
	hung    int       // connections in a row that kept us waiting for one in vain
	trouble error     // why the latest one gave none, or couldn't be made
}

// NewSession starts to connect to one of hosts ("host:port,host:port") and
// returns at once. ZooKeeper ends the session, and with it the session's
// ephemeral znodes, when it has not heard of it for the timeout; it may grant
// another one than is asked for. The error is about hosts.
func NewSession(hosts string, timeout time.Duration) (*Session, error) {
	addrs, err := SplitAddrs(hosts)
	if err != nil {
		return nil, err
	}
	s := &Session{
		Prepare: func(*zk.Conn) error { return nil },
		hosts:   addrs, timeout: timeout, granted: timeout, changed: make(chan struct{}, 1),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.connect()
}

// SplitAddrs returns the addresses in "host:port,host:port", without the space
// around them, or an error that says which one can't be right, and why.
func SplitAddrs(text string) (addrs []string, err error) {
	for addr := range strings.SplitSeq(text, ",") {
		addr = strings.TrimSpace(addr)
		host, port, err := net.SplitHostPort(addr)
		number, portErr := strconv.ParseUint(port, 10, 16)

		switch {
		case strings.Contains(addr, "/"):
			err = errors.New("what comes behind a slash belongs to -root")
		case err == nil && host == "":
			err = errors.New("the host is missing")
		case err == nil && (portErr != nil || number == 0):
			err = errors.New("a port is a number from 1 to 65535")
		case err == nil && !isHost(host):
			err = errors.New("no host has such a name")
		}
		if err != nil {
			return nil, fmt.Errorf("address %q must be host:port: %w", addr, err)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// isHost reports whether text can be the name or address of a host. What moves
// a cursor or begins a new line can't, and so does no harm where it is shown.
func isHost(text string) bool {
	bad := func(r rune) bool { return r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) }
	return text != "" && !strings.ContainsAny(text, "[]/") && !strings.ContainsFunc(text, bad)
}

// connect makes a new connection, with a new session. The caller holds mu.
func (s *Session) connect() error {
	s.made++
	made := s.made // tells this connection's calls from those of one given up
	conn, _, err := zk.Connect(s.hosts, s.timeout,
		zk.WithDialer(func(network, addr string, timeout time.Duration) (net.Conn, error) {
			return s.dial(made, network, addr, timeout)
		}),
		zk.WithHostProvider(&hostList{}),
		// Not the library's event channel: that drops what doesn't fit.
		zk.WithEventCallback(func(ev zk.Event) { s.onEvent(made, ev) }),
		zk.WithLogger(debugLog{}), zk.WithLogInfo(false))
	if err != nil {
		return fmt.Errorf("connect to ZooKeeper: %w", err)
	}
	s.conn, s.lost, s.dialed = conn, time.Now(), 0
	return nil
}

// Changed returns a channel that delivers when the session may have been
// lost or won, or a watch may have fired. One reader can use it.
func (s *Session) Changed() <-chan struct{} { return s.changed }

// Conn returns the connection, or nil while there is no session.
func (s *Session) Conn() *zk.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || s.conn.State() != zk.StateHasSession {
		return nil
	}
	return s.conn
}

// noSession returns ErrNoSession, with the reason if one is known.
func (s *Session) noSession() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble == nil {
		return ErrNoSession
	}
	return fmt.Errorf("%w: %v", ErrNoSession, s.trouble)
}

// Timeout returns the session timeout that ZooKeeper has granted; before that,
// the one that was asked for.
func (s *Session) Timeout() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.granted
}

// Age returns how long ago the session was won, or won back.
func (s *Session) Age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.won)
}

// onEvent runs on the library's goroutine and must not block it.
func (s *Session) onEvent(made int, ev zk.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case made != s.made || s.conn == nil:
		return
	case ev.State == zk.StateHasSession && ev.Type == zk.EventSession:
		slog.Info("ZooKeeper session", "server", ev.Server)
		s.won, s.lost, s.hung, s.trouble = time.Now(), time.Time{}, 0, nil
		s.setGranted(s.tcp.granted())
	case ev.State == zk.StateExpired:
		slog.Warn("ZooKeeper session expired")
		s.tcp.Conn.Close() // the library has no more use for it, and leaves it to the garbage collector
	case ev.State == zk.StateDisconnected && s.lost.IsZero():
		slog.Warn("ZooKeeper connection lost", "server", ev.Server)
		s.lost, s.dialed = time.Now(), 0
	case ev.State == zk.StateDisconnected && time.Since(s.tcp.made) >= s.tcp.patience:
		s.hung++
		s.trouble = fmt.Errorf("%s accepts connections and says nothing", ev.Server)
	case ev.State == zk.StateDisconnected:
		s.trouble = fmt.Errorf("%s ends connections and opens no session", ev.Server)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// setGranted notes the session timeout that ZooKeeper has granted, and says so
// if that is news and not what was asked for. The caller holds mu.
func (s *Session) setGranted(granted time.Duration) {
	if granted != s.granted && granted != s.timeout {
		slog.Warn("ZooKeeper grants another session timeout", "asked", s.timeout, "granted", granted)
	}
	s.granted = granted
}

// dial connects for the library. When something accepts our connections but
// has given us no session for so long that ours must be over, we start anew: a
// ZooKeeper that lost its data turns away, for ever and without a word, a
// client that has seen more than it has.
func (s *Session) dial(made int, network, addr string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, addr, timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if made == s.made {
		s.trouble = err
	}
	if err != nil {
		return nil, err
	}

	s.dialed++
	if made == s.made && s.conn != nil && s.dialed > 3 && time.Since(s.lost) > s.granted {
		slog.Warn("no ZooKeeper session for too long: starting anew")
		go s.conn.Close() // it may take a second
		err = s.connect()
	}
	if made != s.made { // given up: with a connection it would only be in the way
		conn.Close()
		return nil, errors.Join(zk.ErrClosing, err)
	}
	patience := min(handshakePatience<<min(s.hung/len(s.hosts), 8), s.timeout/2)
	s.tcp = &watched{Conn: conn, made: time.Now(), patience: patience}
	return s.tcp, nil
}

// hostList gives the library the addresses in turn. The library's own list
// looks names up once, and fails if that does; and with a single address it
// waits for a second before each connection.
type hostList struct {
	hosts []string
	tries int // since the last session
}

func (h *hostList) Init(hosts []string) error { h.hosts = hosts; return nil }
func (h *hostList) Len() int                  { return len(h.hosts) }
func (h *hostList) Connected()                { h.tries = 0 }

func (h *hostList) Next() (host string, pause bool) {
	h.tries++
	i := h.tries % len(h.hosts)
	return h.hosts[i], i == 0 && h.tries > 3*len(h.hosts)
}

// A watched connection limits how long a handshake may wait, and notes what
// ZooKeeper grants in it and when the connection breaks. The library sets a deadline for the first bytes of the answer that is
// longer than the session lasts, and then none for the rest. Its later
// deadlines are good: they follow what ZooKeeper made of the session timeout.
//
// It also lets the library send its watches before the first answer comes in.
// They go with the number of the last change seen, which the next answer
// raises, on another goroutine and without a lock: a change that came while
// there was no connection could go unnoticed.
type watched struct {
	net.Conn
	made      time.Time
	patience  time.Duration
	deadlines int    // set so far
	answer    []byte // how ZooKeeper's answer to the handshake begins
	broken    atomic.Bool
}

// grantedEnd is where the session timeout ends in the answer to a handshake, in
// milliseconds: behind the length and the version, of 4 bytes each like itself.
const grantedEnd = 12

// granted returns the session timeout of a handshake that has succeeded.
func (c *watched) granted() time.Duration {
	return time.Duration(binary.BigEndian.Uint32(c.answer[grantedEnd-4:])) * time.Millisecond
}

func (c *watched) SetReadDeadline(t time.Time) error {
	switch c.deadlines++; {
	case c.deadlines <= 2:
		t = time.Now().Add(c.patience)
	case c.deadlines == 3:
		time.Sleep(headStart)
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *watched) Read(b []byte) (int, error) {
	n, err := c.note(c.Conn.Read(b))
	c.answer = append(c.answer, b[:min(n, grantedEnd-len(c.answer))]...)
	return n, err
}

func (c *watched) Write(b []byte) (int, error) { return c.note(c.Conn.Write(b)) }

func (c *watched) note(n int, err error) (int, error) {
	c.broken.CompareAndSwap(false, err != nil) // once broken, always broken
	return n, err
}

// debugLog takes what the library says of itself.
type debugLog struct{}

func (debugLog) Printf(format string, args ...any) {
	slog.Debug("ZooKeeper client", "says", fmt.Sprintf(format, args...))
}

// Do runs a request on the session's connection and waits for at most the
// session timeout. The error is ErrNoSession if nothing was sent, and
// ErrUnanswered if it took too long.
func Do[T any](s *Session, request func(*zk.Conn) (T, error)) (T, error) {
	var value, none T
	conn := s.Conn()
	if conn == nil {
		return none, s.noSession()
	}
	if err := s.Prepare(conn); err != nil {
		return none, err
	}
	done := make(chan error, 1)
	go func() {
		var err error
		value, err = request(conn)
		done <- err
	}()
	select {
	case err := <-done:
		return value, err
	case <-time.After(s.timeout):
		return none, ErrUnanswered
	}
}

// Close ends the session, and its ephemeral znodes with it, and reports
// whether ZooKeeper was told. When it could not be told before ctx ends, the
// znodes stay until the session times out.
func (s *Session) Close(ctx context.Context) error {
	had := s.Conn() != nil
	s.mu.Lock()
	conn, tcp := s.conn, s.tcp
	s.conn = nil
	s.mu.Unlock()
	if conn == nil {
		return nil
	}
	closed, began := make(chan struct{}), time.Now()
	go func() {
		conn.Close()
		close(closed)
	}()
	if !had {
		return ErrNoSession
	}
	select {
	case <-closed:
		// The library doesn't say whether it had an answer. It gives up after a
		// second; and after an answer it doesn't read again.
		if time.Since(began) >= time.Second || tcp.broken.Load() {
			return ErrUnanswered
		}
		return nil
	case <-ctx.Done():
		return ErrUnanswered
	}
}
