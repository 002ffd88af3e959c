// Counting what clients ask of ZooKeeper: a way to it on which each request is
// looked at as it passes.

//go:build linux

package discovery

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// A turnstile passes connections on to a ZooKeeper and counts the requests.
type turnstile struct {
	listener net.Listener
	zk       string
	lists    atomic.Int64 // requests for the names under a znode
	gets     atomic.Int64 // for the data of one
	others   atomic.Int64 // pings apart

	wait sync.WaitGroup
}

func newTurnstile(zk string) (*turnstile, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen before ZooKeeper: %w", err)
	}
	t := &turnstile{listener: listener, zk: zk}
	t.wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			t.wait.Go(func() { t.pass(client) })
		}
	})
	return t, nil
}

func (t *turnstile) addr() string { return t.listener.Addr().String() }

// close lets nobody new pass and waits for those who do, whose clients must
// end.
func (t *turnstile) close() {
	t.listener.Close()
	t.wait.Wait()
}

// pass serves one connection until one side ends it.
func (t *turnstile) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", t.zk)
	if err != nil {
		return // the client will try again
	}
	defer server.Close()
	t.wait.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	_, _ = io.Copy(server, io.TeeReader(client, &requestReader{turnstile: t}))
}

// A requestReader reads what one client sends: messages, each after its length
// in four bytes. The first opens the session; the others have a number and
// say in the next four bytes what they want. Numbers below 0 are the
// library's own, such as pings.
type requestReader struct {
	turnstile *turnstile
	unread    []byte
	opened    bool
}

func (r *requestReader) Write(chunk []byte) (int, error) {
	const getData, getChildren = 4, 12
	r.unread = append(r.unread, chunk...)
	for len(r.unread) >= 4 {
		end := 4 + int(binary.BigEndian.Uint32(r.unread))
		if len(r.unread) < end {
			break
		}

		message := r.unread[4:end]
		if r.opened && len(message) >= 8 && int32(binary.BigEndian.Uint32(message)) > 0 {
			switch binary.BigEndian.Uint32(message[4:]) {
			case getChildren:
				r.turnstile.lists.Add(1)
			case getData:
				r.turnstile.gets.Add(1)
			default:
				r.turnstile.others.Add(1)
			}
		}

		r.opened, r.unread = true, r.unread[end:]
	}
	return len(chunk), nil
}
