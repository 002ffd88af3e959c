// What the page sees of ZooKeeper: znodes with a session of its own, and
// sessions with the command cons, which tells who was heard of.

package play

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"example.com/rpcworkbook/internal/stage"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zklook"
)

const (
	zooPause   = 500 * time.Millisecond // between two looks
	zooHurry   = 50 * time.Millisecond  // the same after a fault
	hurryFor   = 3 * time.Second
	zooLimit   = time.Second            // for a look
	catchLimit = 200 * time.Millisecond // for a look that somebody waits for
	forgotten  = 90 * time.Second       // after which a session that owns nothing is not shown
)

// A zoo is a ZooKeeper that is looked at. Its methods are safe for concurrent
// use.
type zoo struct {
	server  *zkdev.Server
	owners  func(session int64) (name string, known bool)
	journal *journal
	wake    chan struct{} // has one when it is to look at once

	mu       sync.Mutex
	state    string // "serves", "frozen" or "dead"
	pid      int
	read     time.Time // when the latest look that succeeded began
	nodes    []zklook.Node
	sessions map[int64]*heard
	hurry    time.Time // until when looks follow one another quickly
}

// heard is what is known of a session.
type heard struct {
	timeout   time.Duration
	received  string // how many requests ZooKeeper has counted
	last      time.Time
	connected bool
}

func newZoo(server *zkdev.Server, owners func(int64) (string, bool), j *journal) *zoo {
	return &zoo{server: server, owners: owners, journal: j, state: "serves", pid: server.PID(),
		wake: make(chan struct{}, 1), sessions: map[int64]*heard{}}
}

// watch looks again and again until ctx ends.
func (z *zoo) watch(ctx context.Context) {
	looker := zklook.New(z.server.Addr())
	defer looker.Close()
	for ctx.Err() == nil {
		if z.is() == "serves" {
			z.look(looker)
		}

		z.mu.Lock()
		pause := zooPause
		if time.Now().Before(z.hurry) {
			pause = zooHurry
		}
		z.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-z.wake:
		case <-ctx.Done():
		}
	}
}

// catchUp looks at once, and returns when that has succeeded, or soon if it
// doesn't. What somebody has learned from ZooKeeper is told after what it is
// that they have learned.
func (z *zoo) catchUp(ctx context.Context) {
	if z.is() != "serves" {
		return
	}
	called := time.Now()
	select {
	case z.wake <- struct{}{}:
	default:
	}
	_ = stage.Await(ctx, catchLimit, func() (bool, error) { return z.readSince(called), nil })
}

func (z *zoo) is() string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.state
}

// become notes that ZooKeeper is in another state now, and that what happens
// next is worth a closer look. Don't call it before the server is: it waits for
// what is done to that.
func (z *zoo) become(state string) {
	pid := z.server.PID()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.state, z.pid = state, pid
	z.hurry = time.Now().Add(hurryFor)
}

// restarted notes that ZooKeeper has been started again: with its data, which
// gives each session its whole timeout anew, or without, which ends them all.
func (z *zoo) restarted(data bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !data {
		clear(z.sessions)
	}
	for _, s := range z.sessions {
		s.last = time.Now()
	}
}

// lookOften has looks follow one another quickly for a while.
func (z *zoo) lookOften() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hurry = time.Now().Add(hurryFor)
}

// look looks once. If ZooKeeper doesn't answer, what was seen stays.
func (z *zoo) look(looker *zklook.Looker) {
	began := time.Now()
	nodes, err := zklook.Do(looker, zooLimit, func(c *zk.Conn) ([]zklook.Node, error) {
		return zklook.Nodes(c, Root)
	})
	if err != nil {
		return
	}
	connections, err := zkdev.FourLetter(z.server.Addr(), "cons", zooLimit)
	if err != nil {
		return
	}

	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.read.IsZero() || len(nodes) > 0 {
		z.tell(z.nodes, nodes)
	}
	z.nodes, z.read = nodes, began
	z.hear(connections, looker.Session())
}

var connection = regexp.MustCompile(`recved=(\d+),.*sid=0x([0-9a-f]+),.*to=(\d+),`)

// hear reads what cons printed. The mutex is held.
func (z *zoo) hear(connections string, own int64) {
	now := time.Now()
	for _, s := range z.sessions {
		s.connected = false
	}

	for _, m := range connection.FindAllStringSubmatch(connections, -1) {
		id, _ := strconv.ParseUint(m[2], 16, 64)
		milliseconds, _ := strconv.Atoi(m[3])
		if int64(id) == own {
			continue
		}
		s := z.sessions[int64(id)]
		if s == nil {
			s = &heard{}
			z.sessions[int64(id)] = s
		}
		if s.received != m[1] {
			s.received, s.last = m[1], now
		}
		s.connected, s.timeout = true, time.Duration(milliseconds)*time.Millisecond
	}

	for id, s := range z.sessions {
		owns := slices.ContainsFunc(z.nodes, func(n zklook.Node) bool { return n.Session == id })
		if !s.connected && !owns && now.Sub(s.last) > min(s.timeout, forgotten) {
			delete(z.sessions, id)
		}
	}
}

// tell writes into the log which znodes have come and gone.
func (z *zoo) tell(before, after []zklook.Node) {
	for _, n := range before {
		if !slices.Contains(after, n) {
			z.journal.say(kindZoo, "znode %s gone", n.Name)
		}
	}

	for _, n := range after {
		if !slices.Contains(before, n) {
			owner := "of nobody's session"
			if n.Session != 0 {
				owner = "session " + z.whose(n.Session)
			}
			z.journal.say(kindZoo, "znode %s made: %s, %s", n.Name, n.Data, owner)
		}
	}
}

// whose names a session.
func (z *zoo) whose(id int64) string {
	name, known := z.owners(id)
	if !known {
		return hex(id)
	}
	return hex(id) + " of " + name
}

func hex(id int64) string { return fmt.Sprintf("0x%x", uint64(id)) }

// addrs returns the addresses in the znodes, each once, and whether they have
// been read.
func (z *zoo) addrs() (addrs []string, known bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, n := range z.nodes {
		if addr := n.Addr(); addr != "" && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	slices.Sort(addrs)
	return addrs, !z.read.IsZero()
}

// registered returns the names of the znodes that name an address.
func (z *zoo) registered(addr string) (names []string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, n := range z.nodes {
		if n.Addr() == addr {
			names = append(names, n.Name)
		}
	}
	return names
}

// picture is what the page shows.
func (z *zoo) picture() *ZooKeeper {
	z.mu.Lock()
	defer z.mu.Unlock()
	now := time.Now()
	p := &ZooKeeper{
		Addr: z.server.Addr(), PID: z.pid, State: z.state, Root: Root, Known: !z.read.IsZero(),
		Znodes: []Znode{}, Sessions: []Session{},
	}
	if p.Known {
		p.Old = now.Sub(z.read).Milliseconds()
	}

	for _, n := range z.nodes {
		node := Znode{Name: n.Name, Data: n.Data, Addr: n.Addr()}
		if n.Session != 0 {
			node.Session = hex(n.Session)
		}
		p.Znodes = append(p.Znodes, node)
	}

	for id, s := range z.sessions {
		owner, known := z.owners(id)
		if !known && !s.connected {
			continue // it has been ended, by the page itself
		}
		left := s.timeout - now.Sub(s.last)
		p.Sessions = append(p.Sessions, Session{ID: hex(id), Owner: owner, Connected: s.connected,
			Timeout: s.timeout.Milliseconds(), Left: max(0, left).Milliseconds()})
	}
	slices.SortFunc(p.Sessions, func(a, b Session) int {
		return cmp.Or(strings.Compare(b.Owner, a.Owner), strings.Compare(a.ID, b.ID))
	})
	return p
}

// isOld tells whether what was read last may be out of date.
func (z *zoo) isOld() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.state != "serves" || time.Since(z.read) > 2*zooLimit
}

// readSince tells whether a look has succeeded since a moment.
func (z *zoo) readSince(moment time.Time) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.read.After(moment)
}
