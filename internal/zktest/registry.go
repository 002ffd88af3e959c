// Registry: what a test sees of the servers that are registered in ZooKeeper,
// and what it plants there itself. It looks with a session of its own, straight
// at ZooKeeper, past any gate and with none of the code under test.

package zktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
)

const (
	lookLimit = 2 * time.Second  // for one look at ZooKeeper, which may be down or paused
	sureLimit = 20 * time.Second // for what must be done, on a machine that is busy with other things
)

// Registry is the children of one root. Its methods report to the test that
// made it, on that test's goroutine.
type Registry struct {
	Root string

	t       testing.TB
	zk      string
	conn    *zk.Conn // nil until the next look
	line    *line    // what conn speaks through
	watches bool     // part of what a report shows
	seen    string   // the nodes of the latest look
}

// Node is one child of the root.
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

// NewRegistry looks at the children of root in s until the end of the test. If
// the test fails, its report shows them.
func NewRegistry(t testing.TB, s *zkdev.Server, root string) *Registry {
	r := &Registry{Root: root, t: t, zk: s.Addr()}
	harness.Scene(t, r.scene)
	t.Cleanup(func() {
		if r.conn != nil {
			r.line.end(r.conn)
		}
	})
	return r
}

// ShowWatches has reports show who watches the root, too.
func (r *Registry) ShowWatches() *Registry {
	r.watches = true
	return r
}

// scene is what a report shows.
func (r *Registry) scene() string {
	text := "znodes    " + r.Root
	switch nodes, err := r.Nodes(); {
	case err != nil:
		return text + ": " + err.Error()
	case len(nodes) == 0:
		text += ": none"
	default:
		for _, node := range nodes {
			text += "\n          " + node.String()
		}
	}

	if r.watches {
		text += "\nwatches   " + r.watchers()
	}
	return text
}

// watchers says what ZooKeeper tells of watches: how many there are in all, and
// whose are those on znodes' data. Of the watches on lists of children it tells
// the number only.
func (r *Registry) watchers() string {
	count, err := zkdev.FourLetter(r.zk, "mntr", lookLimit)
	if err != nil {
		return err.Error()
	}

	text := "a number that ZooKeeper does not tell"
	for line := range strings.Lines(count) {
		if n, ok := strings.CutPrefix(line, "zk_watch_count"); ok {
			text = strings.TrimSpace(n) + " in all"
		}
	}

	byPath, err := zkdev.FourLetter(r.zk, "wchp", lookLimit) // a path, and below it the sessions, indented
	if err == nil && strings.TrimSpace(byPath) != "" {
		text += ", of these on data: " + strings.Join(strings.Fields(byPath), " ")
	}
	return text
}

// Nodes returns what is registered at the moment, in the order of names; no
// node if there is no root. It tries for 2 seconds.
func (r *Registry) Nodes() ([]Node, error) {
	nodes, err := do(r, lookLimit, r.look)
	seen := list(nodes)
	if err == nil && seen != r.seen {
		r.seen = seen
		harness.SawAt(r.t, harness.ZooKeeper, "under %s: %s", r.Root, seen)
	}
	return nodes, err
}

func (r *Registry) look(c *zk.Conn) (nodes []Node, err error) {
	names, _, err := c.Children(r.Root)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}

	slices.Sort(names)
	for _, name := range names {
		data, stat, getErr := c.Get(r.Root + "/" + name)
		if getErr == nil {
			nodes = append(nodes, Node{name, string(data), stat.EphemeralOwner})
		} else if !errors.Is(getErr, zk.ErrNoNode) { // else it has just gone
			err = getErr
		}
	}
	return nodes, err
}

// Now is Nodes for a ZooKeeper that is known to serve: it goes on trying, and
// fails the test if that doesn't help.
func (r *Registry) Now() []Node {
	r.t.Helper()
	return r.Wait(sureLimit, "a list of what is registered", func([]Node) bool { return true })
}

// Wait waits until the nodes are as the condition wants them, what in words,
// and returns them.
func (r *Registry) Wait(within time.Duration, what string, condition func([]Node) bool) (nodes []Node) {
	r.t.Helper()
	harness.Eventually(r.t, within, what+" under "+r.Root, func() (bool, string) {
		var err error
		nodes, err = r.Nodes()
		if err != nil {
			return false, err.Error()
		}
		return condition(nodes), list(nodes)
	})
	return nodes
}

// WaitNone waits until nothing is registered.
func (r *Registry) WaitNone(within time.Duration) {
	r.t.Helper()
	r.Wait(within, "no node", func(nodes []Node) bool { return len(nodes) == 0 })
}

// WaitOne waits until exactly one node is registered, of that address and not
// one of the old ones, and returns it.
func (r *Registry) WaitOne(within time.Duration, addr string, old ...Node) Node {
	r.t.Helper()
	what := "one node, of " + addr + ","
	if len(old) > 0 {
		what = fmt.Sprintf("one node, of %s and other than %s,", addr, list(old))
	}
	return r.Wait(within, what, func(nodes []Node) bool {
		return len(nodes) == 1 && nodes[0].Addr() == addr && !slices.Contains(old, nodes[0])
	})[0]
}

// Want fails the test unless exactly these nodes are registered now.
func (r *Registry) Want(want ...Node) {
	r.t.Helper()
	nodes := r.Now()
	harness.Check(r.t, slices.Equal(nodes, want), list(want)+" under "+r.Root, "%s", list(nodes))
}

// Plant creates a node with these data, ephemeral in this registry's own
// session or persistent, and the root if it is missing. A name that ends in "-"
// gets a number from ZooKeeper.
func (r *Registry) Plant(name, data string, ephemeral bool) Node {
	r.t.Helper()
	node, err := do(r, sureLimit, func(c *zk.Conn) (Node, error) {
		if err := r.makeRoot(c); err != nil {
			return Node{}, err
		}

		var flags int32
		var session int64
		if ephemeral {
			flags, session = zk.FlagEphemeral, c.SessionID()
		}
		if strings.HasSuffix(name, "-") {
			flags |= zk.FlagSequence
		}

		path, err := c.Create(r.Root+"/"+strings.TrimSuffix(name, "-"), []byte(data), flags, zk.WorldACL(zk.PermAll))
		return Node{strings.TrimPrefix(path, r.Root+"/"), data, session}, err
	})
	if err != nil {
		r.t.Fatalf("plant %s under %s: %v", name, r.Root, err)
	}
	harness.DidAt(r.t, harness.ZooKeeper, "planted the znode %s under %s: %s", node.Name, r.Root, node.Data)
	return node
}

// makeRoot creates what is missing of the path to the root.
func (r *Registry) makeRoot(c *zk.Conn) error {
	for i, letter := range r.Root + "/" {
		if i > 0 && letter == '/' {
			_, err := c.Create(r.Root[:i], nil, 0, zk.WorldACL(zk.PermAll))
			if err != nil && !errors.Is(err, zk.ErrNodeExists) {
				return err
			}
		}
	}
	return nil
}

// do runs look on a connection with a session. After an error the next look
// gets a new connection: this one's ZooKeeper may have been wiped.
func do[T any](r *Registry, within time.Duration, look func(*zk.Conn) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}

	if err := r.connect(within); err != nil {
		return *new(T), err
	}

	conn, done := r.conn, make(chan result, 1)
	go func() {
		value, err := look(conn)
		done <- result{value, err}
	}()

	select {
	case got := <-done:
		if got.err != nil {
			r.drop()
		}
		return got.value, got.err
	case <-time.After(within):
		r.drop()
		return *new(T), errors.New("no answer from ZooKeeper")
	}
}

// connect sees to a connection with a session.
func (r *Registry) connect(within time.Duration) error {
	if r.conn != nil {
		return nil
	}

	ready := make(chan struct{}, 1)
	// The library sleeps for a second when it has tried its whole list. So it
	// gets a long one.
	line := &line{}
	conn, _, err := zk.Connect(slices.Repeat([]string{r.zk}, 100), 30*time.Second, zk.WithLogger(nowhere{}),
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

	r.conn, r.line = conn, line
	select {
	case <-ready:
		return nil
	case <-time.After(within):
		r.drop()
		return errors.New("no session with ZooKeeper")
	}
}

// drop ends the session, and with it what was planted in it. ZooKeeper may be
// gone: then nobody waits for that.
func (r *Registry) drop() {
	if r.conn != nil {
		go r.line.end(r.conn)
		r.conn = nil
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

func list(nodes []Node) string {
	if len(nodes) == 0 {
		return "no node"
	}
	return fmt.Sprint(nodes)
}

type nowhere struct{}

func (nowhere) Printf(string, ...any) {}
