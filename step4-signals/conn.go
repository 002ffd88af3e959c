// One connection of the server. Two rules make it small: read one chunk per
// visit, and read nothing while a reply is unsent or a request unanswered.
// Together they give partial reads, fairness between connections and
// backpressure on a client that sends more than it reads.

//go:build unix

package main

import (
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// A connection that we end lingers, until its peer has taken the last replies.
const (
	// lingerTime is how long it waits for the peer to take some more of them.
	// It is long because a peer whose buffer is full takes hundreds of KiB out
	// of it before its kernel asks for more.
	lingerTime = time.Second

	maxLinger   = time.Minute // how long it lingers at most
	lingerBytes = 64 << 20    // how much the peer may still send, which we discard
)

// A connState says how far a connection's end has come. It only ever grows.
type connState uint8

const (
	stateOpen      connState = iota // requests are read and answered
	stateDraining                   // requests that have come in are answered; then we end our side
	stateLingering                  // our side is ended; what still comes is discarded
	stateClosed                     // nothing is left
)

// A Conn is one client's connection. It belongs to its loop's goroutine.
//
// What an open or draining one waits for is flush's business: for Writable
// while out holds something, for nothing while a request is unanswered or waits
// in the decoder, and for Readable otherwise. A closed connection waits for
// nothing, and holds no memory.
type Conn struct {
	server   *Server
	fd       int
	onEvents func(Events) // onReady; kept, because each c.onReady would be allocated anew

	// The way of a request.
	decoder    *Decoder // a new one, which gets nothing, when no more requests are taken
	unanswered bool     // the handler has a request and has not replied yet
	processing bool     // the handler is running; its caller takes the next request, and Reply must not
	waiting    []byte   // a long request that is here, and unanswered, but not handled yet
	out        []byte   // replies not yet sent

	// The end. The quota is how many bytes may still be read. While draining
	// they are the rest of what had come in when the draining began; while
	// lingering, what is discarded. An open connection has none, and needs
	// none.
	state     connState
	quota     int
	lingering *Timer // bounds the lingering
}

// watch says what the connection waits for from now on.
func (c *Conn) watch(mask Events) {
	err := c.server.loop.Watch(c.fd, mask, c.onEvents)
	if err != nil {
		slog.Error("a connection is lost", "err", err)
		c.close()
	}
}

// onReady does what the loop says that the connection is ready for. Readable
// comes first: a peer that has hung up may have sent something before.
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
	chunk := c.server.chunk[:c.room()]
	n, err := unix.Read(c.fd, chunk)
	switch {
	case n > 0:
		c.quota = max(0, c.quota-n) // 0 stays 0
		c.receive(chunk[:n])
	case errors.Is(err, unix.EAGAIN):
		// There was nothing after all.
	default: // an error, or the end of the stream: we only read when nothing is left to answer
		c.close()
	}
}

// room returns how many bytes the next read may take: one chunk, and no more
// than the quota. Once that is used up while draining, only the rest of a frame
// that has begun may be read.
func (c *Conn) room() int {
	switch {
	case c.state == stateOpen:
		return chunkSize
	case c.state == stateDraining && c.quota == 0:
		return min(chunkSize, c.decoder.Missing())
	}
	return min(chunkSize, c.quota)
}

// receive takes what was read: requests, or what a lingering connection
// discards.
func (c *Conn) receive(chunk []byte) {
	if c.state != stateLingering {
		c.process(chunk)
		return
	}
	if c.quota == 0 {
		c.watch(0) // enough: from now on the peer waits, until the timer ends this
	}
}

// process handles the requests that chunk completes and sends their replies
// in one write. It stops at a request that will be answered later, and when
// there is much to send; flush arranges for the rest to be handled.
func (c *Conn) process(chunk []byte) {
	c.processing = true
	c.decoder.Feed(chunk)
	for !c.unanswered && len(c.out) <= maxReplies {
		body, ok := c.decoder.Next()
		if !ok {
			break
		}
		c.take(body)
	}

	err := c.decoder.Err()
	if err != nil {
		c.fail(err)
	}

	c.processing = false
	c.flush()
}

// take handles a request, or queues it if it is long.
func (c *Conn) take(body []byte) {
	c.unanswered = true
	if len(body) > longBody {
		c.waiting = body
		c.server.queue(c)
		return
	}
	c.handle(body)
}

// handleWaiting handles the long request, whose turn it is.
func (c *Conn) handleWaiting() {
	body := c.waiting
	c.waiting = nil

	// The next request must not be taken before the handler has returned. A
	// handler that replies twice, or replies and then panics, would answer the
	// next request with that.
	c.processing = true
	c.handle(body)
	c.processing = false
	if !c.unanswered {
		c.process(nil)
	}
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

// Reply answers the request that the Handler was given last. It does nothing on
// a closed connection, or when that request is answered already. It doesn't
// block, and belongs to the loop's goroutine.
func (c *Conn) Reply(r Reply) {
	if c.state == stateClosed || !c.unanswered {
		return
	}

	c.unanswered = false
	c.out = AppendReply(c.out, r)
	if !c.processing {
		c.process(nil) // a late reply: go on with the requests after it
	}
}

// flush sends what it can and decides what to wait for next.
func (c *Conn) flush() {
	err := c.write()

	switch {
	case err != nil:
		c.close()
	case len(c.out) > 0:
		c.watch(Writable) // alone: with Readable armed too, a client that only sends would make us spin
	case c.unanswered:
		c.watch(0)
	case c.hasRequest(): // process has stopped in front of one
		c.watch(0)
		c.server.loop.Post(c.goOn) // soon: others come first
	case c.isDrained():
		c.linger()
	default:
		c.watch(Readable)
	}
}

// hasRequest reports whether a whole request waits in the decoder.
func (c *Conn) hasRequest() bool {
	return c.decoder.Buffered() > 0 && c.decoder.Missing() == 0
}

// isDrained reports whether a draining connection has read all that it may.
func (c *Conn) isDrained() bool {
	return c.state == stateDraining && c.room() == 0
}

// goOn handles the requests at which process stopped because of its replies.
func (c *Conn) goOn() {
	if c.state != stateClosed && !c.unanswered && len(c.out) == 0 {
		c.process(nil)
	}
}

// write sends what the kernel takes.
func (c *Conn) write() error {
	if len(c.out) == 0 {
		return nil
	}

	n, err := unix.Write(c.fd, c.out)
	if n > 0 {
		c.out = c.out[n:]
	}
	if len(c.out) == 0 {
		c.out = nil // an idle connection holds no buffer
	}

	if errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return err
}

// fail gives a last reply, an error, and ends the connection when that is sent.
// What has come in of further requests is dropped.
func (c *Conn) fail(err error) {
	c.state = stateDraining
	c.quota = 0
	c.decoder = NewDecoder(0)
	c.unanswered = true // so that Reply takes the answer, though there is no request
	c.Reply(ErrorReply(err))
}

// drain ends the connection as soon as every request that has begun to come in
// by now is answered; if the last of them is not whole, its rest is waited for.
// Requests after that are not answered: the client might send on and on.
func (c *Conn) drain() {
	if c.state != stateOpen {
		return
	}

	c.state = stateDraining
	c.quota, _ = unread(c.fd)
	c.flush()
}

// linger ends our side and then discards what the peer still sends, until it
// ends its side too. Closing a socket with unread input would reset the
// connection, and a reset destroys replies on their way.
func (c *Conn) linger() {
	c.state = stateLingering
	c.quota = lingerBytes
	c.decoder = NewDecoder(0)
	_ = unix.Shutdown(c.fd, unix.SHUT_WR)
	c.closeWhenStuck(math.MaxInt, time.Now().Add(maxLinger))
	c.watch(Readable)
}

// closeWhenStuck closes the connection after lingerTime, unless the peer is
// still taking replies: then fewer bytes are unacknowledged than the given
// number, and it looks again after another lingerTime. After the deadline it
// closes all the same.
func (c *Conn) closeWhenStuck(unacknowledged int, deadline time.Time) {
	c.lingering = c.server.loop.AfterFunc(lingerTime, func() {
		now, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
		taking := err == nil && now > 0 && now < unacknowledged
		if taking && time.Now().Before(deadline) {
			c.closeWhenStuck(now, deadline)
		} else {
			c.close()
		}
	})
}

// close gives everything back that the connection holds, whoever may still
// point to it.
func (c *Conn) close() {
	if c.state == stateClosed {
		return
	}

	c.state = stateClosed
	c.decoder, c.waiting, c.out = NewDecoder(0), nil, nil
	c.lingering.Stop()
	c.server.loop.CloseFD(c.fd)
	delete(c.server.conns, c)
	if c.server.OnClose != nil {
		c.server.OnClose(c)
	}
}
