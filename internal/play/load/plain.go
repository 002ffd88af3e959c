// A plain client: it calls the servers of a list in turn, and moves no call.
// Chapters 3 to 5 have no client of their own that could do better.

package load

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// maxReply is the longest reply that is read, in bytes.
const maxReply = 2 << 20

// Plain is a Caller that goes through the servers in turn, with a connection to
// each for each caller. It is safe for concurrent use.
type Plain struct {
	mu      sync.Mutex
	servers []string
	next    [MaxCallers]int // by caller: how often it has called
	conns   map[key]net.Conn
}

type key struct {
	caller int
	server string
}

// NewPlain returns one without servers.
func NewPlain() *Plain { return &Plain{conns: map[key]net.Conn{}} }

// List sets the servers, "host:port" each, that are called from now on.
func (p *Plain) List(servers []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers = servers
}

// Close ends all connections. Calls that come later make new ones.
func (p *Plain) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, conn := range p.conns {
		conn.Close()
		delete(p.conns, k)
	}
}

// Call implements Caller.
func (p *Plain) Call(ctx context.Context, caller int, method string, params any) (
	result json.RawMessage, server string, err error) {

	p.mu.Lock()
	if len(p.servers) == 0 {
		p.mu.Unlock()
		return nil, "", errors.New("no server is listed")
	}
	// Each calls a server twice, with ping and pi, and then the next one.
	server = p.servers[(caller+p.next[caller]/2)%len(p.servers)]
	p.next[caller]++
	conn := p.conns[key{caller, server}]
	delete(p.conns, key{caller, server})
	p.mu.Unlock()

	if conn == nil {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", server)
		if err != nil {
			return nil, server, err
		}
	}

	stop := context.AfterFunc(ctx, func() { conn.Close() })
	result, err = Exchange(conn, method, params)
	if !stop() || err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%s: no reply within %v", method, callTime)
		}
		return result, server, err
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[key{caller, server}] = conn
	return result, server, nil
}

// Exchange makes one call on a connection: a frame each way. An error reply is
// an error.
func Exchange(conn net.Conn, method string, params any) (result json.RawMessage, err error) {
	body, err := json.Marshal(map[string]any{"in": method, "params": params})
	if err != nil {
		return nil, err
	}
	frame := append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}

	var header [4]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return nil, fmt.Errorf("%s: no reply: %w", method, err)
	}
	length := binary.LittleEndian.Uint32(header[:])
	if length > maxReply {
		return nil, fmt.Errorf("%s: a reply of %d bytes", method, length)
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, fmt.Errorf("%s: the end in the middle of a reply: %w", method, err)
	}

	var reply struct {
		Out    string          `json:"out"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return nil, fmt.Errorf("%s: the reply %q: %w", method, body, err)
	}
	if reply.Out == "error" {
		return nil, fmt.Errorf("%s: an error reply: %s", method, reply.Result)
	}
	return reply.Result, nil
}
