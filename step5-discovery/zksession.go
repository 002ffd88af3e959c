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
	// headStart is for the library to send its watches when it has
	// reconnected: no time at all, unless the machine is very busy.
	headStart = 150 * time.Millisecond

	// handshakePatience is how long ZooKeeper may take to open a session before
	// another member is asked: short, for one that hangs must not use up the
	// session that we have. But all may be slow, and a new session waits for
	// their disks: so it doubles, up to half of the session timeout, whenever
	// as many as there are have kept us waiting.
	handshakePatience = time.Second

	// closePatience is how long the library waits for an answer when it closes
	// a session.
	closePatience = time.Second
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
	asked   time.Duration // the session timeout that we ask for
	changed chan struct{} // holds one token when there is news

	mu sync.Mutex // guards what follows

	// The library's connection, which dials again and again by itself. One that
	// we have given up may still do so: what comes of that has an older
	// generation, and counts for nothing.
	conn       *zk.Conn // nil: closed
	generation int      // how many there have been
	tcp        *watched // the latest TCP connection of this one; nil: none yet

	// The session, which conn wins, loses and wins back.
	granted time.Duration // the session timeout that ZooKeeper has granted last; before the first: as asked
	won     time.Time     // when it was won, or won back

	// While there is none. When there is one again, all but dialed are zero.
	lost    time.Time // when the last one was lost, or conn made
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
		hosts:   addrs,
		asked:   timeout,
		granted: timeout,
		changed: make(chan struct{}, 1),
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s, nil
}

// SplitAddrs returns the addresses in "host:port,host:port", without the space
// around them, or an error that says which one can't be right, and why.
func SplitAddrs(text string) (addrs []string, err error) {
	for addr := range strings.SplitSeq(text, ",") {
		addr = strings.TrimSpace(addr)
		if err := checkAddr(addr); err != nil {
			return nil, fmt.Errorf("address %q must be host:port: %w", addr, err)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// checkAddr returns why addr can't be "host:port".
func checkAddr(addr string) error {
	if strings.Contains(addr, "/") {
		return errors.New("what comes behind a slash belongs to -root")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}

	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		return errors.New("the host is missing")
	case err != nil || number == 0:
		return errors.New("a port is a number from 1 to 65535")
	case !isHost(host):
		return errors.New("no host has such a name")
	}
	return nil
}

// isHost reports whether text can be the name or address of a host. What moves
// a cursor or begins a new line can't, and so does no harm where it is shown.
func isHost(text string) bool {
	bad := func(r rune) bool { return r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) }
	return text != "" && !strings.ContainsAny(text, "[]/") && !strings.ContainsFunc(text, bad)
}

// connect makes a new connection, with a new session. The caller holds mu.
func (s *Session) connect() error {
	s.generation++
	generation := s.generation
	dial := func(network, addr string, timeout time.Duration) (net.Conn, error) {
		return s.dial(generation, network, addr, timeout)
	}

	conn, _, err := zk.Connect(s.hosts, s.asked,
		zk.WithDialer(dial),
		zk.WithHostProvider(&hostList{}),
		// Not the library's event channel: that drops what doesn't fit.
		zk.WithEventCallback(func(ev zk.Event) { s.onEvent(generation, ev) }),
		zk.WithLogger(debugLog{}), zk.WithLogInfo(false))
	if err != nil {
		return fmt.Errorf("connect to ZooKeeper: %w", err)
	}

	s.conn, s.tcp = conn, nil
	s.lost, s.dialed = time.Now(), 0
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

// Timeout returns the session timeout that ZooKeeper has granted last; before
// the first session, the one that was asked for.
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

// onEvent takes note of what the library says. It runs on the library's
// goroutine and must not block it.
func (s *Session) onEvent(generation int, ev zk.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation != s.generation || s.conn == nil {
		return
	}

	switch {
	case ev.State == zk.StateHasSession && ev.Type == zk.EventSession:
		slog.Info("ZooKeeper session", "server", ev.Server)
		s.won, s.lost = time.Now(), time.Time{}
		s.hung, s.trouble = 0, nil
		s.setGranted(s.tcp.granted())
	case ev.State == zk.StateExpired:
		slog.Warn("ZooKeeper session expired")
		s.tcp.Conn.Close() // the library has no more use for it, and leaves it to the garbage collector
	case ev.State == zk.StateDisconnected && s.lost.IsZero():
		slog.Warn("ZooKeeper connection lost", "server", ev.Server)
		s.lost, s.dialed = time.Now(), 0
	case ev.State == zk.StateDisconnected:
		s.setTrouble(ev.Server)
	}

	select {
	case s.changed <- struct{}{}:
	default: // nobody has looked since the last news, and will find this, too
	}
}

// setTrouble notes that the latest connection has ended and given no session.
// The caller holds mu.
func (s *Session) setTrouble(server string) {
	if time.Since(s.tcp.opened) < s.tcp.patience {
		s.trouble = fmt.Errorf("%s ends connections and opens no session", server)
		return
	}
	s.hung++
	s.trouble = fmt.Errorf("%s accepts connections and says nothing", server)
}

// setGranted notes the session timeout that ZooKeeper has granted, and says so
// if that is news and not what was asked for. The caller holds mu.
func (s *Session) setGranted(granted time.Duration) {
	if granted != s.granted && granted != s.asked {
		slog.Warn("ZooKeeper grants another session timeout", "asked", s.asked, "granted", granted)
	}
	s.granted = granted
}

// dial connects for the library. When something accepts our connections but
// has given us no session for so long that ours must be over, we start anew: a
// ZooKeeper that lost its data turns away, for ever and without a word, a
// client that has seen more than it has.
func (s *Session) dial(generation int, network, addr string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, addr, timeout)

	s.mu.Lock()
	defer s.mu.Unlock()
	if generation != s.generation { // given up: with a connection it would only be in the way
		if err == nil {
			conn.Close()
		}
		return nil, zk.ErrClosing
	}
	s.trouble = err
	if err != nil {
		return nil, err
	}

	// Several must have been accepted: when this machine has slept, the first
	// one will do.
	s.dialed++
	if s.conn != nil && s.dialed > 3 && time.Since(s.lost) > s.granted {
		slog.Warn("no ZooKeeper session for too long: starting anew")
		conn.Close()
		go s.conn.Close() // it may take a second
		return nil, errors.Join(zk.ErrClosing, s.connect())
	}

	s.tcp = &watched{Conn: conn, opened: time.Now(), patience: s.patience()}
	return s.tcp, nil
}

// patience is how long ZooKeeper may take for a handshake now: see
// handshakePatience. The caller holds mu.
func (s *Session) patience() time.Duration {
	rounds := s.hung / len(s.hosts) // in which every address kept us waiting
	return min(handshakePatience<<min(rounds, 8), s.asked/2)
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

// Next returns the next address. When all have been tried three times in vain,
// the library is to pause, for a second, before each further round.
func (h *hostList) Next() (host string, pause bool) {
	n := len(h.hosts)
	i := h.tries % n
	pause = i == 0 && h.tries >= 3*n

	h.tries++
	return h.hosts[i], pause
}

// A watched connection limits how long a handshake may take, and notes what
// ZooKeeper grants in it, and when the connection breaks.
//
// It does so because the library sets a deadline for the first bytes of the
// answer that is longer than the session lasts, and then none for the rest. Its
// later deadlines are good: they follow what ZooKeeper made of the session
// timeout.
//
// It also lets the library send its watches before the first answer comes in.
// They go with the number of the last change seen, which the next answer
// raises, on another goroutine and without a lock: a change that came while
// there was no connection could go unnoticed.
type watched struct {
	net.Conn
	opened   time.Time
	patience time.Duration // for the answer to the handshake
	broken   atomic.Bool   // a read or a write has failed

	// The library's goroutine that reads has these to itself.
	deadlines int    // for reads, set so far
	answer    []byte // how ZooKeeper's answer to the handshake begins: grantedEnd bytes
}

// Whose call is which: the library sets its read deadlines in this order, in
// each connection. A test holds the version to it that go.mod asks for.
const (
	authenticateBegins = 1 // (*zk.Conn).authenticate, for the length of the answer
	authenticateGoesOn = 2 // (*zk.Conn).authenticate, for the rest: it takes the deadline back
	recvLoopBegins     = 3 // (*zk.Conn).recvLoop, for the first packet of the session
)

func (c *watched) SetReadDeadline(t time.Time) error {
	c.deadlines++
	switch c.deadlines {
	case authenticateBegins, authenticateGoesOn:
		t = c.opened.Add(c.patience)
	case recvLoopBegins:
		time.Sleep(headStart) // another goroutine sends the watches now
	}
	return c.Conn.SetReadDeadline(t)
}

// grantedEnd is where the session timeout ends in the answer to a handshake, in
// milliseconds: behind the length and the version, of 4 bytes each like itself.
const grantedEnd = 12

// granted returns the session timeout of a handshake that has succeeded.
func (c *watched) granted() time.Duration {
	return time.Duration(binary.BigEndian.Uint32(c.answer[grantedEnd-4:])) * time.Millisecond
}

func (c *watched) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.note(err)
	missing := grantedEnd - len(c.answer)
	c.answer = append(c.answer, b[:min(n, missing)]...)
	return n, err
}

func (c *watched) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.note(err)
	return n, err
}

func (c *watched) note(err error) {
	if err != nil {
		c.broken.Store(true)
	}
}

// debugLog takes what the library says of itself.
type debugLog struct{}

func (debugLog) Printf(format string, args ...any) {
	slog.Debug("ZooKeeper client", "says", fmt.Sprintf(format, args...))
}

// Do runs a request on the session's connection and waits for at most the
// session timeout that was asked for. The error is ErrNoSession if nothing was
// sent, and ErrUnanswered if it took too long; then the request may still go
// on, on a goroutine of its own.
func Do[T any](s *Session, request func(*zk.Conn) (T, error)) (T, error) {
	var none T
	conn := s.Conn()
	if conn == nil {
		return none, s.noSession()
	}
	if err := s.Prepare(conn); err != nil {
		return none, err
	}

	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1) // with room for one that comes too late
	go func() {
		value, err := request(conn)
		answered <- answer{value, err}
	}()

	select {
	case a := <-answered:
		return a.value, a.err
	case <-time.After(s.asked):
		return none, ErrUnanswered
	}
}

// Close ends the session, and its ephemeral znodes with it, and reports
// whether ZooKeeper was told. When it could not be told before ctx ends, the
// znodes stay until the session times out.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	conn, tcp := s.conn, s.tcp
	s.conn = nil
	s.mu.Unlock()
	if conn == nil {
		return nil // closed already
	}

	hadSession := conn.State() == zk.StateHasSession
	began, closed := time.Now(), make(chan struct{})
	go func() {
		conn.Close()
		close(closed)
	}()
	if !hadSession {
		return ErrNoSession
	}

	select {
	case <-ctx.Done():
		return ErrUnanswered
	case <-closed:
	}

	// The library doesn't say whether it had an answer. But when it has given
	// up, its time is over; and without an answer it reads on until that fails.
	if time.Since(began) >= closePatience || tcp.broken.Load() {
		return ErrUnanswered
	}
	return nil
}
