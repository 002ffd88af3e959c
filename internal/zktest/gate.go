// Gate: a faulty way to ZooKeeper that can also expire the sessions made
// through it. ZooKeeper ends a session when anyone who knows its id and
// password closes it; both pass through the gate in the answer that opens a
// session.

package zktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/runpicture"
	"example.com/rpcworkbook/internal/zkdev"
)

// Gate is a proxy in front of a ZooKeeper, with all the proxy's faults. It
// works for any client, a library in this process or a program in any language,
// that is given the gate's Addr instead of ZooKeeper's.
type Gate struct {
	*netproxy.Proxy
	t         testing.TB
	lane      runpicture.Lane
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

// NewGate starts a gate to s, and closes it at the test's end.
func NewGate(t testing.TB, s *zkdev.Server) *Gate {
	t.Helper()
	g := &Gate{t: t, lane: harness.NewGate(t), zookeeper: s.Addr()}
	proxy, err := netproxy.New(g.zookeeper)
	if err != nil {
		t.Fatal(err)
	}
	g.Proxy = proxy
	g.TapBoth(g.listen)
	t.Cleanup(g.Close)
	harness.DidAt(t, g.lane, "put a gate, %s, in front of ZooKeeper on %s", g.Addr(), g.zookeeper)
	g.Tell(func(what string) { harness.DidAt(t, g.lane, "gate to ZooKeeper: %s", what) })
	return g
}

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

// Requests notes from now on when each request of that kind, "create" or
// "list", goes through the gate for this path: for a numbered znode, the one
// without the number. The function that it returns tells when that was. It may
// be called on any goroutine.
func (g *Gate) Requests(kind, path string) (at func() []time.Time) {
	var mutex sync.Mutex
	var times []time.Time

	var listen func(opcode uint32)
	listen = func(opcode uint32) {
		// The opcode, and then the path: a length, and as many bytes.
		request := binary.BigEndian.AppendUint32(nil, opcode)
		request = binary.BigEndian.AppendUint32(request, uint32(len(path)))
		g.OnRequest(string(request)+path, func() {
			mutex.Lock()
			times = append(times, time.Now())
			mutex.Unlock()
			harness.Saw(g.t, "gate to ZooKeeper: a request to %s %s", kind, path)
			listen(opcode)
		})
	}
	for _, opcode := range opcodes[kind] {
		listen(opcode)
	}

	return func() []time.Time {
		mutex.Lock()
		defer mutex.Unlock()
		return slices.Clone(times)
	}
}

// Which requests are of a kind. A newer one of each also returns what ZooKeeper
// knows about the znode.
var opcodes = map[string][]uint32{
	"create": {1, 15},
	"list":   {8, 12},
}

// Expire ends every session opened through the gate, so that their clients find
// them expired when they reconnect. Meanwhile the gate is shut to the clients:
// open, a client would take its session back within milliseconds. It takes some
// milliseconds and at most 5 seconds a session, fails if there is no session to
// end, and ends by healing the gate of all faults.
func (g *Gate) Expire() error {
	g.Partition(netproxy.Both) // reconnecting clients wait in front of the gate
	g.Reset()

	g.mutex.Lock()
	sessions := g.sessions
	g.sessions = nil
	g.mutex.Unlock()

	var err error
	if len(sessions) == 0 {
		err = errors.New("expire sessions: none was opened through this gate")
	}
	for _, s := range sessions {
		if closeErr := g.closeSession(s); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("expire session %#x: %w", s.id, closeErr))
		}
	}
	err = errors.Join(err, g.Heal())
	harness.DidAt(g.t, harness.ZooKeeper,
		"had ZooKeeper end the %d sessions that were opened through the gate", len(sessions))
	return err
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
