// Package zklook looks at a real ZooKeeper from beside: with a session of its
// own, straight at it, past any proxy, and with none of the code that is looked
// at. Tests use it, and the page that shows a system at work.
package zklook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// A Looker looks at one ZooKeeper, which may come and go meanwhile. It is for
// one goroutine at a time.
type Looker struct {
	addr string
	conn *zk.Conn // nil until the next look
	line *line    // what conn speaks through
}

// New returns a Looker for the ZooKeeper at addr, "host:port". It connects with
// the first look.
func New(addr string) *Looker { return &Looker{addr: addr} }

// Session is the id of the Looker's own session, 0 while it has none.
func (l *Looker) Session() int64 {
	if l.conn == nil {
		return 0
	}
	return l.conn.SessionID()
}

// Close ends the session, which takes a second at most.
func (l *Looker) Close() {
	if l.conn != nil {
		l.line.end(l.conn)
		l.conn = nil
	}
}

// Node is one child of a root.
type Node struct {
	Name    string // "rpc0000000000"
	Data    string // as it is
	Session int64  // the ephemeral owner; 0 for a persistent znode
}

// Addr is the host:port that the data name, "" if they don't.
func (n Node) Addr() string {
	var endpoint struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	}
	if err := json.Unmarshal([]byte(n.Data), &endpoint); err != nil || endpoint.Host == "" {
		return ""
	}
	return net.JoinHostPort(endpoint.Host, strconv.Itoa(endpoint.Port))
}

func (n Node) String() string { return fmt.Sprintf("%s %s session %#x", n.Name, n.Data, n.Session) }

// Nodes returns the children of root, in the order of names; none if there is
// no root.
func Nodes(c *zk.Conn, root string) (nodes []Node, err error) {
	names, _, err := c.Children(root)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}

	slices.Sort(names)
	for _, name := range names {
		data, stat, getErr := c.Get(root + "/" + name)
		if getErr == nil {
			nodes = append(nodes, Node{name, string(data), stat.EphemeralOwner})
		} else if !errors.Is(getErr, zk.ErrNoNode) { // else it has just gone
			err = getErr
		}
	}
	return nodes, err
}

// MakeRoot creates what is missing of the path to root.
func MakeRoot(c *zk.Conn, root string) error {
	for i, letter := range root + "/" {
		if i > 0 && letter == '/' {
			_, err := c.Create(root[:i], nil, 0, zk.WorldACL(zk.PermAll))
			if err != nil && !errors.Is(err, zk.ErrNodeExists) {
				return err
			}
		}
	}
	return nil
}

// Do runs look on a connection with a session, for so long at most, the time
// to connect not included. After an error the next look gets a new connection:
// this one's ZooKeeper may have been wiped.
func Do[T any](l *Looker, within time.Duration, look func(*zk.Conn) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}

	if err := l.connect(within); err != nil {
		return *new(T), err
	}

	conn, done := l.conn, make(chan result, 1)
	go func() {
		value, err := look(conn)
		done <- result{value, err}
	}()

	select {
	case got := <-done:
		if got.err != nil {
			l.drop()
		}
		return got.value, got.err
	case <-time.After(within):
		l.drop()
		return *new(T), errors.New("no answer from ZooKeeper")
	}
}

// connect sees to a connection with a session.
func (l *Looker) connect(within time.Duration) error {
	if l.conn != nil {
		return nil
	}

	ready := make(chan struct{}, 1)
	// The library sleeps for a second when it has tried its whole list. So it
	// gets a long one.
	line := &line{}
	conn, _, err := zk.Connect(slices.Repeat([]string{l.addr}, 100), 30*time.Second, zk.WithLogger(Silent{}),
		zk.WithDialer(line.dial),
		zk.WithEventCallback(func(event zk.Event) {
			if event.State == zk.StateHasSession {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		}))
	if err != nil {
		return err
	}

	l.conn, l.line = conn, line
	select {
	case <-ready:
		return nil
	case <-time.After(within):
		l.drop()
		return errors.New("no session with ZooKeeper")
	}
}

// drop ends the session, and with it what was planted in it. ZooKeeper may be
// gone: then nobody waits for that.
func (l *Looker) drop() {
	if l.conn != nil {
		go l.line.end(l.conn)
		l.conn = nil
	}
}

// A line is the TCP connection behind a session. The library waits for the
// answer to a handshake for minutes, also when the session has been closed
// meanwhile; cut off, it gives up.
type line struct {
	mutex sync.Mutex
	tcp   net.Conn // the latest
	cut   bool
}

func (l *line) dial(network, addr string, timeout time.Duration) (net.Conn, error) {
	tcp, err := net.DialTimeout(network, addr, timeout)
	if err != nil {
		return nil, err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.cut {
		tcp.Close()
		return nil, net.ErrClosed
	}
	l.tcp = tcp
	return tcp, nil
}

// end closes the session, which takes a second at most, and cuts it off.
func (l *line) end(conn *zk.Conn) {
	conn.Close()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.cut = true
	if l.tcp != nil {
		l.tcp.Close()
	}
}

// Silent is a logger for the library that says nothing.
type Silent struct{}

// Printf drops the line.
func (Silent) Printf(string, ...any) {}
