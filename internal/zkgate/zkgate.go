// Package zkgate is a faulty way to ZooKeeper that can also expire the sessions
// made through it. ZooKeeper ends a session when anyone who knows its id and
// password closes it; both pass through the gate in the answer that opens a
// session.
package zkgate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/netproxy"
)

// Gate is a proxy in front of a ZooKeeper, with all the proxy's faults. It
// works for any client, a library in this process or a program in any language,
// that is given the gate's Addr instead of ZooKeeper's.
type Gate struct {
	*netproxy.Proxy
	zookeeper string

	mutex    sync.Mutex
	sessions []session // in the order in which they were opened
}

type session struct {
	id       int64
	password []byte
}

const closeLimit = 5 * time.Second

// errLost says that ZooKeeper ended our connection, so that we don't know
// whether the session is closed.
var errLost = errors.New("connection lost")

// New starts a gate to the ZooKeeper at addr, "host:port".
func New(addr string) (*Gate, error) {
	g := &Gate{zookeeper: addr}
	proxy, err := netproxy.NewTapped(addr, g.Ear)
	g.Proxy = proxy
	return g, err
}

// Ear returns a writer for what ZooKeeper says on a new connection through the
// gate, which learns the session from it. It is for who listens with TapBoth,
// which takes the gate's own ear off.
func (g *Gate) Ear() io.Writer { return &sniffer{gate: g} }

// Sessions lists the ids of the sessions opened through the gate, oldest first.
// They are the EphemeralOwner of their znodes. A session that its client
// closed, or that ran out, stays in the list until the next Expire.
func (g *Gate) Sessions() []int64 {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	var ids []int64
	for _, s := range g.sessions {
		ids = append(ids, s.id)
	}
	return ids
}

// Latest is the last of Sessions, 0 if there is none: a client whose handshake
// took too long has given up the one before.
func (g *Gate) Latest() int64 {
	ids := g.Sessions()
	if len(ids) == 0 {
		return 0
	}
	return ids[len(ids)-1]
}

// Expire ends every session opened through the gate, so that their clients find
// them expired when they reconnect. Meanwhile the gate is shut to the clients:
// open, a client would take its session back within milliseconds. It takes some
// milliseconds and at most 5 seconds a session, fails if there is no session to
// end, and ends by healing the gate of all faults. It returns how many sessions
// there were.
func (g *Gate) Expire() (ended int, err error) {
	g.Partition(netproxy.Both) // reconnecting clients wait in front of the gate
	g.Reset()

	g.mutex.Lock()
	sessions := g.sessions
	g.sessions = nil
	g.mutex.Unlock()

	if len(sessions) == 0 {
		err = errors.New("expire sessions: none was opened through this gate")
	}
	for _, s := range sessions {
		if closeErr := g.closeSession(s); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("expire session %#x: %w", s.id, closeErr))
		}
	}
	return len(sessions), errors.Join(err, g.Heal())
}

// closeSession tries until ZooKeeper has confirmed that the session is gone: a
// reconnection of the owner that was just on its way can still take the
// session, and with it our connection, away from us, once.
func (g *Gate) closeSession(s session) error {
	deadline := time.Now().Add(closeLimit)
	for {
		err := closeOnce(g.zookeeper, s, deadline)
		if err == nil || !errors.Is(err, errLost) || time.Now().After(deadline) {
			return err
		}
	}
}

// closeOnce speaks just enough of ZooKeeper's protocol: every message is a
// big-endian length and that many bytes.
func closeOnce(addr string, s session, deadline time.Time) error {
	conn, err := net.DialTimeout("tcp4", addr, time.Until(deadline))
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(deadline)

	const timeout = 10_000 // milliseconds; it doesn't matter, the session ends at once
	var open []byte
	open = binary.BigEndian.AppendUint32(open, 0) // protocol version
	open = binary.BigEndian.AppendUint64(open, 0) // last transaction seen: none
	open = binary.BigEndian.AppendUint32(open, timeout)
	open = binary.BigEndian.AppendUint64(open, uint64(s.id))
	open = binary.BigEndian.AppendUint32(open, uint32(len(s.password)))
	open = append(open, s.password...)
	if err := writeMessage(conn, open); err != nil {
		return err
	}
	answer, err := readMessage(conn)
	if err != nil {
		return err
	}
	if opened, ok := parseOpened(answer); !ok || opened.id != s.id {
		return nil // it had ended before
	}

	const transaction = 1 // the number that the answer repeats
	closeSession := int32(-11)
	shut := binary.BigEndian.AppendUint32(nil, transaction)
	shut = binary.BigEndian.AppendUint32(shut, uint32(closeSession))
	if err := writeMessage(conn, shut); err != nil {
		return err
	}
	for {
		answer, err := readMessage(conn)
		if err != nil {
			return err
		}
		if len(answer) >= 4 && binary.BigEndian.Uint32(answer) == transaction {
			return nil // and not an event of one of the session's watches
		}
	}
}

func writeMessage(w io.Writer, body []byte) error {
	if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
}

func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}

	length := binary.BigEndian.Uint32(head[:])
	if length > 1<<20 {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}

	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	return body, nil
}

// parseOpened reads the body of ZooKeeper's first answer on a connection:
// protocol version, timeout, session id and password. It is not ok if it is
// none, or says that the session has expired.
func parseOpened(body []byte) (s session, ok bool) {
	const fixed = 4 + 4 + 8 + 4
	if len(body) < fixed {
		return session{}, false
	}
	s.id = int64(binary.BigEndian.Uint64(body[8:]))
	length := binary.BigEndian.Uint32(body[16:])
	if s.id == 0 || uint64(length) > uint64(len(body)-fixed) {
		return session{}, false
	}
	s.password = append(s.password, body[fixed:fixed+length]...)
	return s, true
}

// Opened reads the body of ZooKeeper's first answer on a connection. It is not
// ok if that opens no session.
func Opened(body []byte) (session int64, ok bool) {
	s, ok := parseOpened(body)
	return s.id, ok
}

// sniffer reads what ZooKeeper says on one connection up to the end of its
// first message.
type sniffer struct {
	gate *Gate
	seen []byte
	done bool
}

func (f *sniffer) Write(chunk []byte) (int, error) {
	const longest = 256 // the answer has about 40 bytes; that of a four-letter command looks endless
	if f.done {
		return len(chunk), nil
	}

	f.seen = append(f.seen, chunk...)
	if len(f.seen) < 4 {
		return len(chunk), nil
	}

	length := binary.BigEndian.Uint32(f.seen)
	if length <= longest && uint32(len(f.seen)-4) < length {
		return len(chunk), nil
	}

	f.done = true
	if length <= longest {
		if s, ok := parseOpened(f.seen[4 : 4+length]); ok {
			f.gate.learn(s)
		}
	}
	f.seen = nil
	return len(chunk), nil
}

func (g *Gate) learn(s session) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for _, known := range g.sessions {
		if known.id == s.id { // a reconnection
			return
		}
	}
	g.sessions = append(g.sessions, s)
}
