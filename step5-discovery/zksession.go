// A ZooKeeper session that looks after itself. The client library reconnects
// within a session and starts a new one when ZooKeeper has ended the old; this
// file adds what the library leaves to its user: bounds on every wait, and a
// fresh start when a connection can't recover by itself.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	// handshakePatience is how long ZooKeeper may take to open a session before
	// another member is asked. It is short: a member that hangs must not use up
	// the session that we have. But all members may be slow, for a new session
	// waits for their disks. So it doubles whenever a whole round of addresses
	// has timed out, up to half of the session timeout.
	handshakePatience = time.Second

	// dialsInVain is how many connections must have been accepted and have
	// brought no session before the session is given up. One alone doesn't
	// count: a machine that has slept finds that its session was lost long ago,
	// and its first connection will succeed.
	dialsInVain = 3

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

	// A session goes through these states; what the fields mean in each:
	//
	//   - Connecting, at the start: lost is when conn was made. conn dials
	//     again and again, by itself.
	//   - Has a session, new or won back: won says since when. lost, hung and
	//     trouble are zero.
	//   - Lost: the connection broke, at the time lost. ZooKeeper keeps the
	//     session for the time granted, and conn tries to win it back.
	//   - Expired: ZooKeeper had ended the session before conn was back. conn
	//     asks for a new one, and lost stays as it was.
	//   - Given up: connections were accepted for longer than granted, and none
	//     brought a session. A new conn is connecting, of the next generation.
	//     Dials and events of the old one come with an older generation, and
	//     are ignored.
	//   - Closed: conn is nil.
	mu sync.Mutex // guards what follows

	conn       *zk.Conn      // the library's connection
	generation int           // how many conns there have been
	tcp        *tcpConn      // the latest TCP connection of conn; nil: none yet
	granted    time.Duration // the session timeout that ZooKeeper granted last; before the first: as asked
	won        time.Time     // when the latest session was won, or won back; zero: never

	// Without a session.
	lost    time.Time // since when
	dialed  int       // TCP connections made since then
	hung    int       // connections in a row that timed out in the handshake
	trouble error     // why the latest attempt to connect brought no session; nil: not known
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

// connect makes a new conn, which asks for a new session. The caller must hold
// mu.
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

	s.conn = conn
	s.tcp = nil
	s.lost = time.Now()
	s.dialed = 0
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

// Timeout returns the session timeout that ZooKeeper granted last; before the
// first session, the one that was asked for.
func (s *Session) Timeout() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.granted
}

// Age returns how long ago the session was won, or won back. Before the first
// session that is longer than any timeout.
func (s *Session) Age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.won)
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
	// With mu held, so that tcp is the connection of that session: conn dials
	// the next one only after it has lost this one.
	hadSession := conn != nil && conn.State() == zk.StateHasSession
	s.conn = nil
	s.mu.Unlock()
	if conn == nil {
		return nil // closed already
	}

	began := time.Now()
	closed := make(chan struct{})
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

	// The library doesn't say whether it had an answer. It gives up after
	// closePatience. If it is done earlier, it has had an answer, or the
	// connection broke, which tcp has noted.
	if time.Since(began) >= closePatience || tcp.broken.Load() {
		return ErrUnanswered
	}
	return nil
}

// onEvent takes note of what the library says. It runs on the library's
// goroutine and must not block it. Each of the events below is about the latest
// TCP connection, so that tcp isn't nil.
func (s *Session) onEvent(generation int, ev zk.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation != s.generation || s.conn == nil {
		return
	}

	switch {
	case ev.State == zk.StateHasSession && ev.Type == zk.EventSession:
		slog.Info("ZooKeeper session", "server", ev.Server)
		s.noteSession()
	case ev.State == zk.StateExpired:
		slog.Warn("ZooKeeper session expired")
		// The library has no more use for this connection, and would leave it
		// to the garbage collector.
		s.tcp.Conn.Close()
	case ev.State == zk.StateDisconnected && s.hadSession():
		slog.Warn("ZooKeeper connection lost", "server", ev.Server)
		s.lost = time.Now()
		s.dialed = 0
	case ev.State == zk.StateDisconnected:
		s.noteTrouble(ev.Server)
	}

	select {
	case s.changed <- struct{}{}:
	default: // nobody has looked since the last news, and will find this, too
	}
}

// hadSession reports whether there was a session until now. The caller must
// hold mu.
func (s *Session) hadSession() bool { return s.lost.IsZero() }

// noteSession notes that there is a session, and what ZooKeeper has granted it.
// It logs a timeout that is news and not what was asked for. The caller must
// hold mu.
func (s *Session) noteSession() {
	s.won = time.Now()
	s.lost = time.Time{}
	s.hung = 0
	s.trouble = nil

	timeout := s.tcp.sessionTimeout()
	if timeout != s.granted && timeout != s.asked {
		slog.Warn("ZooKeeper grants another session timeout", "asked", s.asked, "granted", timeout)
	}
	s.granted = timeout
}

// noteTrouble notes why the latest connection has ended and brought no session.
// The caller must hold mu.
func (s *Session) noteTrouble(server string) {
	switch {
	case s.tcp.isAnswered(): // the session had expired, and conn asks for a new one at once
	case time.Since(s.tcp.opened) < s.tcp.patience:
		s.trouble = fmt.Errorf("%s ends connections and opens no session", server)
	default:
		s.hung++
		s.trouble = fmt.Errorf("%s accepts connections and says nothing", server)
	}
}

// dial connects for the library.
//
// A ZooKeeper that has lost its data turns away, forever and without a word,
// any client that has seen more than it has. So when connections have been
// accepted and brought no session for longer than ours was granted, which is
// over then, dial gives the session up and makes a new conn.
func (s *Session) dial(generation int, network, addr string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, addr, timeout)

	s.mu.Lock()
	defer s.mu.Unlock()
	if generation != s.generation { // a conn that was given up would only be in the way
		if err == nil {
			conn.Close()
		}
		return nil, zk.ErrClosing
	}

	s.trouble = err // nil: this attempt hasn't failed yet
	if err != nil {
		return nil, err
	}

	s.dialed++
	if s.conn != nil && s.dialed > dialsInVain && time.Since(s.lost) > s.granted {
		slog.Warn("no ZooKeeper session for too long: starting anew")
		conn.Close()
		old := s.conn
		err := s.connect()
		go old.Close() // it may take a second
		return nil, errors.Join(zk.ErrClosing, err)
	}

	s.tcp = &tcpConn{Conn: conn, opened: time.Now(), patience: s.patience()}
	return s.tcp, nil
}

// patience returns how long ZooKeeper may take for a handshake now: see
// handshakePatience. The caller must hold mu.
func (s *Session) patience() time.Duration {
	rounds := s.hung / len(s.hosts) // in which every address kept us waiting
	return min(handshakePatience<<min(rounds, 8), s.asked/2)
}
