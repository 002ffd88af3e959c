// Package netproxy is a TCP proxy on 127.0.0.1 that misbehaves on demand. Tests
// put it between a program and ZooKeeper, or between a client and a server, and
// then refuse, cut, hold, delay or lose what passes. This file is what its
// users call; pair.go carries the bytes of one connection.
package netproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/freeport"
)

// Direction says which way bytes travel: from the client that connected to the
// proxy to the server, or back.
type Direction int

const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// String is "to the server", for example.
func (d Direction) String() string {
	return map[Direction]string{ToServer: "to the server", ToClient: "to the client", Both: "in both directions"}[d]
}

// Proxy passes connections on to one address. It starts without a fault; each
// method adds one, all may be active at once, and Heal ends them. All methods
// are safe for concurrent use. A fault holds for everything that the proxy
// reads after the method has returned; what it had read before counts as
// already on its way.
type Proxy struct {
	target  string
	port    int
	release func()          // gives the port up
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	group   sync.WaitGroup // every goroutine of the proxy

	mutex    sync.Mutex
	tell     func(what string) // see Tell; nil for nobody
	tap      func() (toServer, toClient io.Writer)
	listener *listener // nil while refusing
	pairs    map[*pair]struct{}
	faults   faults
	triggers []trigger
	changed  chan struct{} // closed, and replaced, whenever faults change
	dropped  int64
}

type listener struct {
	net.Listener
	done chan struct{} // closed when its last connection is among the pairs
}

// A trigger is what OnRequest was asked for.
type trigger struct {
	part []byte
	do   func()
}

type faults struct {
	held  Direction
	drop  bool
	delay time.Duration
	rate  int // bytes per second, 0 is unlimited
}

// New starts a proxy to target, a "host:port" that need not answer yet: it is
// dialled anew for every connection. It listens on a reserved port that stays
// the proxy's own, also while it refuses connections.
func New(target string) (*Proxy, error) {
	return NewTapped(target, func() io.Writer { return io.Discard })
}

// NewTapped is New with an eye on what servers answer: tap is called for each
// connection, and the writer it returns gets every byte read from the server,
// in order, from one goroutine, before the client gets it. Its errors are
// ignored.
func NewTapped(target string, tap func() io.Writer) (*Proxy, error) {
	port, release, err := freeport.Reserve()
	if err != nil {
		return nil, fmt.Errorf("start a proxy to %s: %w", target, err)
	}

	p := &Proxy{target: target, port: port, release: release,
		pairs: map[*pair]struct{}{}, changed: make(chan struct{})}
	p.tap = func() (io.Writer, io.Writer) { return io.Discard, tap() }
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if err := p.listen(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// TapBoth listens to both directions of connections made from now on: tap is
// called for each, and the writers it returns get every byte that is read from
// the client and from the server, in order, each from one goroutine, before it
// travels on. Their errors are ignored.
func (p *Proxy) TapBoth(tap func() (toServer, toClient io.Writer)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.tap = tap
}

// A Test is what StartT needs of a testing.TB. Programs use proxies, too, and
// they want no package testing.
type Test interface {
	Helper()
	Fatal(args ...any)
	Cleanup(f func())
}

// StartT is New for tests: it fails the test when it can't start and closes the
// proxy at the test's end.
func StartT(t Test, target string) *Proxy {
	t.Helper()
	p, err := New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Tell has each fault told of, and the end of the faults, in words such as
// "reset all connections": tell is called after the fact, on the goroutine that
// asked for it.
func (p *Proxy) Tell(tell func(what string)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.tell = tell
}

// say tells of a fault, unless it is part of Close.
func (p *Proxy) say(format string, args ...any) {
	p.mutex.Lock()
	tell := p.tell
	p.mutex.Unlock()
	if tell != nil && p.ctx.Err() == nil {
		tell(fmt.Sprintf(format, args...))
	}
}

// Addr is the "127.0.0.1:port" to connect to instead of the target.
func (p *Proxy) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// Conns counts the connections that the proxy holds, also those it has not
// passed on yet.
func (p *Proxy) Conns() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return len(p.pairs)
}

// Dropped counts the bytes that DropReplies has swallowed so far: wait for it
// to grow to know that a reply was lost.
func (p *Proxy) Dropped() int64 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.dropped
}

// Refuse makes new connections fail with "connection refused". Those that exist
// go on.
func (p *Proxy) Refuse() {
	p.mutex.Lock()
	l := p.listener
	p.listener = nil
	p.mutex.Unlock()
	if l != nil {
		l.Close()
		<-l.done // so that a Reset that follows finds everything that was accepted
	}
	p.say("refused new connections")
}

// Reset cuts all connections the hard way, with RST on both sides: reads and
// writes fail. New ones are welcome.
func (p *Proxy) Reset() {
	p.eachPair((*pair).reset)
	p.say("reset all connections")
}

// Cut ends all connections the polite way, with FIN to both sides: each reads
// what has reached it and then the end. Nothing passes any more, and a
// connection is forgotten when both sides have closed theirs. New ones are
// welcome.
func (p *Proxy) Cut() {
	p.eachPair((*pair).finish)
	p.say("ended all connections")
}

func (p *Proxy) eachPair(do func(*pair)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for c := range p.pairs {
		do(c)
	}
}

// Partition holds back everything that travels in the given direction, bytes
// and closes alike; what is held arrives after Heal. New connections are
// accepted (only the kernel says so: the target hears of them after Heal).
func (p *Proxy) Partition(way Direction) {
	p.change(func(f *faults) { f.held |= way })
	p.say("held back what goes %v", way)
}

// Delay lets every chunk of bytes wait for d before it passes, in each
// direction: a round trip takes at least 2 d. Chunks don't overlap, so a byte
// behind a waiting chunk takes up to 2 d for its way. Zero ends the delay.
func (p *Proxy) Delay(d time.Duration) {
	p.change(func(f *faults) { f.delay = d })
	p.say("delayed what passes by %v", d)
}

// Bandwidth limits every connection to so many bytes per second in each
// direction. Zero ends the limit.
func (p *Proxy) Bandwidth(bytesPerSecond int) {
	p.change(func(f *faults) { f.rate = bytesPerSecond })
	p.say("limited connections to %d bytes per second, 0 being no limit", bytesPerSecond)
}

// DropReplies swallows what servers send. Their streams then have a hole, so
// Heal resets the connections that lost something; to lose one reply, wait
// until Dropped grows or the request's effect is seen, then Reset or Heal.
func (p *Proxy) DropReplies() {
	p.change(func(f *faults) { f.drop = true })
	p.say("dropped what servers send")
}

// OnRequest calls do, once, when a client has sent bytes that contain part, and
// before they travel on: the moment to lose the reply to them, or to hold them
// back. Do must not block; it is not undone by Heal before it was called. Part
// must come in one piece, as short messages do.
func (p *Proxy) OnRequest(part string, do func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.triggers = append(p.triggers, trigger{[]byte(part), do})
}

// pull does what was to be done on such a request.
func (p *Proxy) pull(request []byte) {
	var due []trigger
	p.mutex.Lock()
	p.triggers = slices.DeleteFunc(p.triggers, func(t trigger) bool {
		found := bytes.Contains(request, t.part)
		if found {
			due = append(due, t)
		}
		return found
	})
	p.mutex.Unlock()
	for _, t := range due { // not before: they change the faults
		t.do()
	}
}

// Heal ends all faults: held bytes flow, and new connections are accepted
// again. Its only error is that the port can't be listened on any more, because
// a program that doesn't know of the reservation took it.
func (p *Proxy) Heal() error {
	p.change(func(f *faults) {
		*f = faults{}
		for c := range p.pairs {
			if c.holed {
				c.reset()
			}
		}
	})
	err := p.listen()
	p.say("let everything pass again")
	return err
}

// Close resets all connections, gives up the port, and returns when no
// goroutine or descriptor of the proxy is left. It may be called more than
// once.
func (p *Proxy) Close() {
	p.cancel() // first, so that a Heal at the same moment doesn't listen again
	p.Refuse()
	p.Reset()
	p.group.Wait()
	p.release()
}

// change edits the faults and wakes everything that waits because of the old
// ones.
func (p *Proxy) change(edit func(*faults)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	edit(&p.faults)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) listen() error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.listener != nil || p.ctx.Err() != nil {
		return nil
	}
	l, err := net.Listen("tcp4", p.Addr())
	if err != nil {
		return fmt.Errorf("listen for connections to %s: %w", p.target, err)
	}
	p.listener = &listener{l, make(chan struct{})}
	go p.accept(p.listener)
	return nil
}

// accept runs until its listener is closed.
func (p *Proxy) accept(l *listener) {
	defer close(l.done)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p.add(conn.(*net.TCPConn))
	}
}

func (p *Proxy) add(client *net.TCPConn) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	c := &pair{client: client}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	p.pairs[c] = struct{}{}
	p.group.Go(func() {
		p.carry(c)
		p.mutex.Lock()
		defer p.mutex.Unlock()
		delete(p.pairs, c)
	})
}
