// One proxied connection: a goroutine for each direction reads a chunk, waits
// for as long as the faults want it to, and writes it. The proxy's mutex guards
// what the goroutines and the callers of the proxy share.

package netproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkSize   = 32 << 10
	dialTimeout = 5 * time.Second
)

type pair struct {
	ctx            context.Context // ends when nothing may pass any more
	cancel         context.CancelFunc
	client, server *net.TCPConn // server is nil until dialled
	holed          bool         // bytes to the client were dropped
}

// reset closes both sides with RST. The mutex is held.
func (c *pair) reset() {
	for _, conn := range c.sides() {
		conn.SetLinger(0)
	}
	c.cancel() // after SetLinger, because it lets carry close the sockets too
	for _, conn := range c.sides() {
		conn.Close()
	}
}

// finish sends FIN to both sides and leaves the goroutines reading until both
// have answered with theirs: a close with bytes still unread would send RST.
// The mutex is held.
func (c *pair) finish() {
	c.cancel()
	for _, conn := range c.sides() {
		conn.CloseWrite()
	}
}

func (c *pair) sides() []*net.TCPConn {
	if c.server == nil {
		return []*net.TCPConn{c.client}
	}
	return []*net.TCPConn{c.client, c.server}
}

// carry serves one accepted connection and returns when both its sockets are
// closed.
func (p *Proxy) carry(c *pair) {
	defer c.cancel()
	defer c.client.Close()
	if err := p.dial(c); err != nil {
		if c.ctx.Err() != nil {
			io.Copy(io.Discard, c.client) // cut: as in pump
		} else {
			c.client.SetLinger(0) // RST is as near as an accepted connection can come to being refused
		}
		return
	}

	defer c.server.Close()
	p.mutex.Lock()
	tap := p.tap
	p.mutex.Unlock()
	toServer, toClient := tap()

	var both sync.WaitGroup
	both.Go(func() { p.pump(c, ToServer, c.client, c.server, toServer) })
	both.Go(func() { p.pump(c, ToClient, c.server, c.client, toClient) })
	both.Wait()
}

// dial connects the pair to its server as soon as nothing holds new
// connections.
func (p *Proxy) dial(c *pair) error {
	if _, ok := p.wait(c, Both, 0); !ok {
		return c.ctx.Err()
	}

	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(c.ctx, "tcp", p.target)
	if err != nil {
		return err
	}

	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err := c.ctx.Err(); err != nil { // cut when there was no second side to cut yet
		conn.Close()
		return err
	}
	c.server = conn.(*net.TCPConn)
	return nil
}

// pump carries one direction until its end of file, which it passes on like a
// byte, so that half-closed connections work, or until the connection breaks.
func (p *Proxy) pump(c *pair, way Direction, from, to *net.TCPConn, tap io.Writer) {
	buf := make([]byte, chunkSize)
	for {
		n, readErr := from.Read(buf[:p.chunk()])
		tap.Write(buf[:n])
		if way == ToServer {
			p.pull(buf[:n])
		}

		drop, ok := p.wait(c, way, n)
		if !ok {
			// Cut. The rest is read and thrown away, until the peer closes or
			// the socket is.
			io.Copy(io.Discard, from)
			return
		}

		var writeErr error
		if n > 0 && !drop {
			_, writeErr = to.Write(buf[:n])
		}
		switch {
		case readErr == nil && writeErr == nil:
		case errors.Is(readErr, io.EOF) && writeErr == nil:
			to.CloseWrite()
			return
		default: // one side broke off: so does the other
			p.mutex.Lock()
			c.reset()
			p.mutex.Unlock()
			return
		}
	}
}

// chunk is how much to read at once: under a bandwidth limit so little that
// bytes trickle instead of coming in bursts.
func (p *Proxy) chunk() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.faults.rate == 0 {
		return chunkSize
	}
	return max(1, min(chunkSize, p.faults.rate/50))
}

// wait blocks until n bytes that have just been read may travel on, and says
// whether to drop them instead. It is not ok when the connection was cut
// meanwhile.
func (p *Proxy) wait(c *pair, way Direction, n int) (drop, ok bool) {
	arrived := time.Now()
	for {
		p.mutex.Lock()
		f, changed := p.faults, p.changed
		left := time.Until(arrived.Add(f.delay))
		if f.rate > 0 {
			left += time.Duration(n) * time.Second / time.Duration(f.rate)
		}
		held := f.held&way != 0
		if c.ctx.Err() == nil && !held && left <= 0 {
			drop = f.drop && way == ToClient && n > 0
			if drop {
				c.holed = true // under the same lock as the decision, so that Heal can't miss this connection
				p.dropped += int64(n)
			}
			p.mutex.Unlock()
			return drop, true
		}
		p.mutex.Unlock()

		var due <-chan time.Time
		if !held {
			due = time.After(left)
		}
		select {
		case <-changed:
		case <-due:
		case <-c.ctx.Done():
			return false, false
		}
	}
}
