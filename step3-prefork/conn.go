// One connection of the server. Two rules make it small: read one chunk per
// visit, and read nothing while a reply is unsent or unanswered. Together they
// give partial reads, fairness between connections and backpressure on a
// client that sends more than it reads.

//go:build unix

package main

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// lingerTime bounds how long a connection that we end waits for the peer to
// take the last replies, or at least some of them, and to end its side;
// lingerBytes, how many bytes it discards meanwhile. The time is long because
// a peer whose buffer is full takes some hundred KiB out of it before its
// kernel asks for more.
const lingerTime, lingerBytes = time.Second, 64 << 20

// A Conn is one client's connection. It belongs to its loop's goroutine.
type Conn struct {
	server     *Server
	fd         int
	ready      func(Events) // onReady; kept, because each c.onReady would be allocated anew
	decoder    *Decoder
	out        []byte // replies not yet sent
	unanswered bool   // the handler has a request and has not replied yet
	processing bool   // process is on the stack
	last       bool   // close when the replies are sent
	finishing  int    // close when what came in is answered, of this many bytes more at most; 0: go on
	lingering  int    // our side is ended; this many bytes may still come
	closed     bool
}

// Reply answers the request that the Handler was given last. On a closed
// connection, or when that request is answered already, it does nothing.
func (c *Conn) Reply(r Reply) {
	if c.closed || !c.unanswered {
		return
	}
	c.unanswered = false
	c.out = AppendFrame(c.out, r.Append(nil))
	if !c.processing {
		c.process(nil) // a late reply: go on with the requests behind it
	}
}

// watch says what the connection waits for.
func (c *Conn) watch(mask Events) {
	c.server.loop.Watch(c.fd, mask, c.ready)
}

// onReady is called by the loop.
func (c *Conn) onReady(events Events) {
	switch {
	case events&Readable != 0:
		c.read()
	case events&Writable != 0:
		c.flush()
	default: // hung up while we neither read nor write: nobody is left to answer
		c.close()
	}
}

// read takes one chunk.
func (c *Conn) read() {
	n, err := unix.Read(c.fd, c.server.chunk)
	switch {
	case n > 0 && c.lingering > 0:
		if c.lingering -= n; c.lingering <= 0 {
			c.lingering = 1 // enough: from now on the peer waits, until the timer ends this
			c.watch(0)
		}
	case n > 0:
		if c.finishing > 0 {
			c.finishing -= n
			c.last = c.finishing <= 0
		}
		c.process(c.server.chunk[:n])
	case errors.Is(err, unix.EAGAIN):
		if c.finishing > 0 && c.lingering == 0 && !c.decoder.Partial() {
			c.linger()
		}
	default: // the end of the stream (everything before it is answered), or an error
		c.close()
	}
}

// process handles the requests that chunk completes and sends their replies
// in one write. It stops at a request that will be answered later.
func (c *Conn) process(chunk []byte) {
	c.processing = true
	for body, err := range c.decoder.Frames(chunk) {
		c.unanswered = true
		if err != nil {
			c.last = true
			c.Reply(ErrorReply(err))
			break
		}
		if c.handle(body); c.unanswered {
			break
		}
	}
	c.processing = false
	c.flush()
}

// handle calls the handler. A panic in it costs that call only.
func (c *Conn) handle(body []byte) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("a handler panicked", "panic", p, "stack", string(debug.Stack()))
			c.Reply(ErrorReply(errors.New("internal error")))
		}
	}()
	c.server.handler(c, body)
}

// flush sends what it can and decides what to wait for next.
func (c *Conn) flush() {
	n, err := unix.Write(c.fd, c.out)
	switch c.out = c.out[max(n, 0):]; {
	case err != nil && !errors.Is(err, unix.EAGAIN):
		c.close()
	case len(c.out) > 0:
		c.watch(Writable) // alone: with Readable armed too, a client that only sends would make us spin
	case c.unanswered:
		c.watch(0)
	case c.last:
		c.linger()
	default:
		c.out = nil // an idle connection holds no buffer
		c.watch(Readable)
		if c.finishing > 0 {
			c.finish()
		}
	}
}

// finish ends the connection as soon as every request that has come in is
// answered, and one that is half here has come in whole. A client that never
// stops sending is told the end all the same.
func (c *Conn) finish() {
	if c.finishing == 0 {
		c.finishing = HeaderSize + c.server.MaxFrame // room for the longest
	}
	c.server.loop.Post(func() {
		if !c.closed && !c.unanswered && len(c.out) == 0 {
			c.read() // there may be more; if there is not, that ends it
		}
	})
}

// linger ends our side and then discards what the peer still sends, until it
// ends its side too. Closing a socket with unread input would reset the
// connection, and a reset destroys replies on their way.
func (c *Conn) linger() {
	c.lingering = lingerBytes
	_ = unix.Shutdown(c.fd, unix.SHUT_WR)
	c.watch(Readable)
	c.closeUnlessTaken(lingerBytes)
}

// closeUnlessTaken closes the connection after lingerTime, unless the peer is
// still taking replies: fewer bytes are unacknowledged then than before.
func (c *Conn) closeUnlessTaken(before int) {
	c.server.loop.After(lingerTime, func() {
		if c.closed {
			return
		}
		if now, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ); err == nil && now > 0 && now < before {
			c.closeUnlessTaken(now)
			return
		}
		c.close()
	})
}

// close ends both sides at once. Whoever still points to the connection, a
// timer or a handler, holds none of its memory.
func (c *Conn) close() {
	if c.closed {
		return
	}
	c.closed = true
	c.decoder, c.out = nil, nil
	delete(c.server.conns, c)
	c.server.loop.Close(c.fd)

	if c.server.OnClose != nil {
		c.server.OnClose(c)
	}
}
