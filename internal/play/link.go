// The links: the way from a server or the client to ZooKeeper, on which the
// page can do damage.

package play

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zkgate"
)

const (
	linkDelay   = 500 * time.Millisecond // each way
	createLimit = 15 * time.Second       // for a server to register again
)

// A link is one party's way to ZooKeeper. Its methods are safe for concurrent
// use, and may be called on nil, which is no link.
type link struct {
	gate *zkgate.Gate

	mu    sync.Mutex
	state string // what fault returns
}

// addr is what the party is told as ZooKeeper's address.
func (l *link) addr() string {
	if l == nil {
		return ""
	}
	return l.gate.Addr()
}

// fault is the damage in a word or two; "" while there is none.
func (l *link) fault() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *link) become(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
}

// cut has nothing pass any more, as if a cable were pulled.
func (l *link) cut() {
	l.gate.Partition(netproxy.Both)
	l.become("cut")
}

// delay has all that passes wait.
func (l *link) delay() {
	l.gate.Delay(linkDelay)
	l.become("delayed")
}

// heal ends all faults.
func (l *link) heal() error {
	err := l.gate.Heal()
	l.become("")
	return err
}

// endSession has ZooKeeper end the party's sessions.
func (l *link) endSession() error {
	_, err := l.gate.Expire()
	l.become("")
	return err
}

// loseCreate ends the session, so that the server creates its znode anew, and
// loses the answer to that: the connection breaks after ZooKeeper has created
// it. It returns when that has happened.
func (l *link) loseCreate() error {
	// The path of a create begins a request's text, with its length before it.
	path := []byte(Root + "/rpc")
	part := append(binary.BigEndian.AppendUint32(nil, uint32(len(path))), path...)
	asked := make(chan int64, 1)
	l.gate.OnRequest(string(part), func() {
		lost := l.gate.Dropped()
		l.gate.DropReplies()
		asked <- lost
	})
	l.become("loses the answer to the create")
	defer l.become("")

	if _, err := l.gate.Expire(); err != nil {
		return err
	}

	late := time.After(createLimit)
	select {
	case before := <-asked:
		for l.gate.Dropped() == before {
			select {
			case <-time.After(time.Millisecond):
			case <-late:
				return fmt.Errorf("ZooKeeper didn't answer the create within %v", createLimit)
			}
		}
	case <-late:
		return fmt.Errorf("no create of %s came within %v", path, createLimit)
	}
	return l.gate.Heal() // which breaks the connection that lost the answer
}

// owns tells whether a session was opened through the link.
func (l *link) owns(session int64) bool {
	return l != nil && slices.Contains(l.gate.Sessions(), session)
}

// close ends the link.
func (l *link) close() {
	if l != nil {
		l.gate.Close()
	}
}
