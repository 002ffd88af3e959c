// Tests of one connection: the order of replies, what is read and what is not,
// and how it ends.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

func TestConnAnswersLate(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		later, ping := harness.Frame(harness.Request("later", nil)), harness.Frame(harness.Request("ping", 1))
		c.Send(slices.Concat(later, ping, later, ping, ping))
		conn := receive(t, s.held)
		c.Send(slices.Concat(ping, ping))
		s.eventually("the two last requests arrived", func() bool { return unreadBytes(conn) == 2*len(ping) })
		s.wantSleep()
		assert.Equal(t, 2*len(ping), s.unread(conn), "not read while a request is unanswered")
		assert.Zero(t, s.waits(conn))
		c.WantSilence()

		s.on(func() { s.AfterFunc(time.Millisecond, func() { conn.Reply(NewReply("late", 1)) }) })
		c.WantReply("late", "1")
		c.WantPong("1")
		assert.Same(t, conn, receive(t, s.held))
		c.WantSilence()
		s.on(func() { conn.Reply(NewReply("late", 2)) })
		c.WantReply("late", "2")
		for range 4 {
			c.WantPong("1")
		}
		assert.Equal(t, Readable, s.waits(conn))
	})
}

func TestConnReplyIsGivenOnce(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		harness.CaptureLog(t) // the method panics as well
		c := s.dial()
		c.SendRequest("both", nil)
		c.WantReply("first", "1")
		conn := s.later(c)
		s.on(func() {
			conn.Reply(NewReply("late", 1))
			conn.Reply(NewReply("late", 2))
		})
		c.WantReply("late", "1")
		s.ping(c)
		c.WantSilence()
	})
}

// A long request is handled when nothing else of its connection is, and the
// request behind it may be another's to answer. What its handler still says is
// not for that one.
func TestConnReplyIsForItsOwnRequest(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		log := harness.CaptureLog(t) // the method panics as well
		c := s.dial()
		c.Send(slices.Concat(long("both", nil, 2*longBody), harness.Frame(harness.Request("later", nil)), pings(1)))
		c.WantReply("first", "1")
		conn := receive(t, s.held)
		s.on(func() { conn.Reply(NewReply("late", 1)) })
		c.WantReply("late", "1")
		c.WantPong("0")
		assert.Contains(t, log(), "after the reply")
	})
}

func TestConnPanicCostsThatCallOnly(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		log := harness.CaptureLog(t)
		c, other := s.dial(), s.dial()
		c.Send(slices.Concat(pings(1), harness.Frame(harness.Request("panic", nil)), pings(1)))
		c.WantPong("0")
		c.WantReply("error", `"internal error"`)
		c.WantPong("0")
		s.ping(other)
		assert.Contains(t, log(), "for a test")
		assert.Contains(t, log(), "serving_test.go", "the stack says where")
	})
}

func TestConnManyRequestsBeforeTheFirstReplyIsRead(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		go func() { _ = c.TrySend(pings(10_000)) }()
		for i := range 10_000 {
			c.WantPong(fmt.Sprint(i))
		}
	})
}

// The client would end the connection because of such a reply.
func TestConnTooLongAReplyIsAnError(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		conn := s.later(c)
		c.Send(pings(1))
		s.on(func() { conn.Reply(Reply{"long", json.RawMessage(`"` + strings.Repeat("x", MaxReply) + `"`)}) })
		long := MaxReply + len(`{"out":"long","result":""}`)
		c.WantReply("error", fmt.Sprintf(`"the reply would be %d bytes, over the limit of %d"`, long, MaxReply))
		c.WantPong("0")
		s.ping(c)
	})
}

// A client that never reads must not make the server hold more than the
// replies to one chunk, nor wake it up.
func TestConnClientThatNeverReads(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		deaf := s.dialDeaf()
		conn := s.conn()
		const length = 8000
		frame := harness.Frame(harness.Request("ping", strings.Repeat("x", length)))
		go func() { _ = deaf.TrySend(slices.Repeat(frame, 1000)) }() // more than it can get rid of
		s.eventually("a reply that can't be sent", func() bool { return len(conn.out) > 0 })
		s.wantSleep()

		assert.Equal(t, Writable, s.waits(conn))
		assert.Positive(t, s.unread(conn))
		s.on(func() {
			assert.Less(t, len(conn.out), chunkSize+3*length)
			assert.Less(t, cap(conn.out), 4*(chunkSize+3*length))
		})

		s.ping(s.dial())
		deaf.Reset()
		s.wantConns(1)
		s.wantSleep()
	})
}

// Many requests in one chunk, each with a long reply: no more of them
// are made than one beyond what may be unsent, whoever reads them or not.
func TestConnRepliesAreBounded(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		const calls, length = 50, 100_000
		long, made, most := strings.Repeat("x", length), 0, 0
		s.on(func() {
			s.server.handler = func(c *Conn, _ []byte) {
				c.Reply(NewReply("long", long))
				made++
				most = max(most, len(c.out))
			}
		})

		c := s.dialDeaf()
		conn := s.conn()
		frame := harness.Frame(harness.Request("a", 1))
		frames := slices.Repeat(frame, calls)
		require.Less(t, len(frames), chunkSize)
		c.Send(frames)
		for i := range calls {
			c.WantReply("long", `"`+long+`"`)
			if i == 0 {
				s.eventually("all requests", func() bool {
					return made*len(frame)+conn.decoder.Buffered()+unreadBytes(conn) == len(frames)
				})
				s.Drain() // all that has come in is answered
			}
		}

		c.WantEOF()
		c.Close()
		s.wantEnd()
		assert.Less(t, most, maxReplies+2*length, "bytes of replies")
	})
}

func TestConnHalfClosedGetsAllItsReplies(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		c.Send(slices.Concat(harness.Frame(harness.Request("later", nil)), pings(1000)))
		c.CloseWrite()
		conn := receive(t, s.held)
		s.wantSleep()
		s.on(func() { conn.Reply(NewReply("late", 1)) })
		c.WantReply("late", "1")
		for i := range 1000 {
			c.WantPong(fmt.Sprint(i))
		}
		c.WantEOF()
		s.wantConns(0)
	})
}

// note returns a call that is so long, and notes what.
func note(what, length int) []byte { return long("note", what, length) }

// long returns a call that is so long, because it is padded.
func long(method string, params any, length int) []byte {
	request := harness.Request(method, params)
	padding := strings.Repeat(" ", max(0, length-len(request)))
	return harness.Frame(request[:len(request)-1] + padding + "}")
}

// Many long requests are complete at once. They are handled in several turns,
// the oldest first, and who has a short one needn't wait for them.
func TestConnLongRequestsWaitForTheirTurn(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		const long = 12
		var clients []*harness.Conn
		var conns []*Conn
		for i := range long {
			c, frame := s.dial(), note(i, 3*longBody)
			clients = append(clients, c)
			c.Send(frame[:len(frame)-1])
			s.eventually("all but the last byte", func() bool {
				for conn := range s.server.conns {
					if conn.decoder.Buffered() == len(frame)-1 && !slices.Contains(conns, conn) {
						conns = append(conns, conn)
					}
				}
				return len(conns) == 1+i
			})
		}
		short := s.dial()
		s.ping(short)

		var begun int64
		s.on(func() {
			begun = s.poller.waits.Load()
			for _, conn := range conns {
				conn.process([]byte("}"))
			}
			assert.Empty(t, s.took)
		})
		short.SendRequest("note", "short")
		short.WantReply("noted", `"short"`)
		s.on(func() {
			// A turn that was longer than usual is followed by one that handles
			// more.
			assert.Less(t, slices.Index(s.took, `"short"`), long, "in %v", s.took)
		})
		for i, c := range clients {
			c.WantReply("noted", fmt.Sprint(i))
		}
		assert.GreaterOrEqual(t, s.poller.waits.Load()-begun, int64(3), "turns")
		s.ping(clients[0])
	})
}

// A long request has its place among those of its connection, also at the end
// of the stream, and at that of the server.
func TestConnLongRequestsAreAnsweredInOrder(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		half := s.dial()
		frames := slices.Concat(note(1, 0), note(2, 2*longBody), note(3, 5*longBody), note(4, 0), note(5, longBody+1),
			note(6, longBody), note(7, 0))
		half.Send(frames)
		half.CloseWrite()
		for i := range 7 {
			half.WantReply("noted", fmt.Sprint(1+i))
		}
		half.WantEOF()
		half.Close()

		draining := s.dial()
		s.ping(draining)
		conn := s.conn()
		frames = slices.Concat(note(1, 0), note(2, longBody+1), note(3, 0), note(4, longBody+1))
		release := s.block()
		draining.Send(frames)
		harness.Eventually(t, patience, "all to be there", func() (bool, string) {
			n := unreadBytes(conn)
			return n == len(frames), fmt.Sprint(n)
		})
		s.Drain()
		release()
		for i := range 4 {
			draining.WantReply("noted", fmt.Sprint(1+i))
		}
		draining.WantEOF()
		draining.Close()
		s.wantEnd()
	})
}

// Nobody is there for the reply: the request costs neither time nor memory.
func TestConnLongRequestOfWhoHasLeft(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		conn := s.conn()
		frame := note(1, 3*longBody)
		c.Send(frame[:len(frame)-1])
		s.eventually("all but the last byte", func() bool { return conn.decoder.Buffered() == len(frame)-1 })
		s.on(func() {
			handler := s.server.handler
			s.server.handler = func(c *Conn, body []byte) {
				assert.NotSame(t, conn, c)
				handler(c, body)
			}
			conn.process([]byte("}"))
			assert.Len(t, conn.waiting, len(frame)-HeaderSize)
			conn.close()
			assert.Nil(t, conn.waiting)
		})
		s.eventually("an empty queue", func() bool { return len(s.server.longQueue) == 0 })
		s.ping(s.dial())
	})
}

// Half a frame, and then the end: nothing to answer.
func TestConnEndsInsideAFrame(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		c.Send(slices.Concat(pings(1), pings(1)[:10]))
		c.CloseWrite()
		c.WantPong("0")
		c.WantEOF()
		s.wantConns(0)
	})
}

// A connection that is not being read is closed when the peer is gone: its
// hang-up would be reported again and again.
func TestConnHangupWhileItIsNotRead(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		conn := s.later(c)
		c.Reset()
		s.wantConns(0)
		s.wantSleep()
		s.on(func() {
			assert.Equal(t, stateClosed, conn.state)
			conn.Reply(NewReply("late", 1)) // nobody is there; nothing happens
			assert.Empty(t, conn.out)
		})
	})
}

func TestConnResetWhileItIsRead(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		s.ping(c)
		c.Reset()
		s.wantConns(0)
		s.wantSleep()
	})
}

// A connection that the kernel refuses to watch can't be served. The others
// can.
func TestConnNotWatchedIsClosed(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		log := harness.CaptureLog(t)
		other := s.dial()
		s.ping(other)
		s.on(func() {
			s.poller.refuse = func(fd int) error {
				if fd == s.server.listener {
					return nil
				}
				return unix.ENOSPC
			}
		})
		c := s.dial()
		c.WantEOF()
		s.on(func() { s.poller.refuse = nil })
		s.wantConns(1)
		s.ping(other)
		s.ping(s.dial())
		assert.Contains(t, log(), unix.ENOSPC.Error())
	})
}

func TestConnIdleHoldsNoBuffers(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		params := json.RawMessage(`"` + strings.Repeat("x", 900_000) + `"`)
		c.SendRequest("ping", params)
		c.WantPong(string(params))
		conn := s.conn()
		s.on(func() {
			assert.Zero(t, cap(conn.out))
			assert.Zero(t, cap(conn.decoder.kept))
		})
	})
}

// A timer or a handler may point to a connection long after its end: that must
// not cost what the connection held.
func TestConnClosedHoldsNoMemory(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		const conns, length = 20, 1 << 20
		var closed []*Conn // which stay
		s.on(func() { s.server.OnClose = func(c *Conn) { closed = append(closed, c) } })
		before := heapInUse()

		for range conns {
			c := s.dial()
			s.ping(c)
			c.Send(harness.Frame(strings.Repeat("x", length))[:length])
			s.eventually("nearly all of a frame", func() bool {
				for conn := range s.server.conns {
					return len(conn.decoder.kept) == length
				}
				return false
			})
			c.Close()
			s.wantConns(0)
		}

		s.on(func() {})
		assert.Len(t, closed, conns)
		assert.Less(t, int64(heapInUse())-int64(before), int64(conns*length/4), "more bytes in use")
		runtime.KeepAlive(closed)
	})
}

// heap returns how many bytes of memory are in use.
func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// The error reply arrives although the peer is still writing: with a plain
// close the kernel would reset the connection and destroy it.
func TestConnTooLongAFrameIsAnsweredAndEnded(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		tooLong := harness.Frame(strings.Repeat("x", MaxRequest+1))
		sent := make(chan error, 1)
		go func() { sent <- c.TrySend(slices.Concat(pings(3), slices.Repeat(tooLong, 4))) }()

		for i := range 3 {
			c.WantPong(fmt.Sprint(i))
		}
		c.WantReply("error", fmt.Sprintf(`"frame of %d bytes is over the limit of %d"`, MaxRequest+1, MaxRequest))
		c.WantEOF()
		require.NoError(t, receive(t, sent), "all was taken, and thrown away")

		s.on(func() { s.timers = nil }) // so that only the peer's end can end it
		c.Close()
		s.wantConns(0)
	})
}

// A server may accept less than the protocol's most: then that is also how much
// it waits for in the end.
func TestConnAcceptsFramesUpToTheServersLimit(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		s := newServing(t, p)
		s.server.MaxFrame = 100
		s.start()
		longest := harness.Request("ping", strings.Repeat("x", 100-len(harness.Request("ping", ""))))
		c, half := s.dial(), s.dial()
		c.SendFrame(longest)
		require.Equal(t, "pong", c.ReadReply().Kind)
		c.SendFrame(longest + " ")
		c.WantReply("error", `"frame of 101 bytes is over the limit of 100"`)
		c.WantEOF()

		frame := harness.Frame(longest)
		half.Send(frame[:10])
		conn := s.halfConn()
		s.Drain()
		s.eventually("a connection that waits for its last frame", func() bool { return conn.state == stateDraining })
		for _, b := range frame[10:] {
			half.Send([]byte{b})
		}
		require.Equal(t, "pong", half.ReadReply().Kind)
		half.WantEOF()
	})
}

// linger makes the server end its side of a connection, and returns both ends.
func (s *serving) linger() (*harness.Conn, *Conn) {
	s.t.Helper()
	c := s.dial()
	conn := s.conn()
	c.Send(harness.Frame(strings.Repeat(" ", MaxRequest+1))[:HeaderSize])
	c.WantError()
	c.WantEOF()
	return c, conn
}

func TestConnLingersForABoundedTime(t *testing.T) {
	p, err := NewPollPoller()
	require.NoError(t, err)
	s := newServing(t, p)
	s.start()
	began := time.Now()
	c, _ := s.linger()
	s.wantConns(0)
	assert.GreaterOrEqual(t, time.Since(began), lingerTime)
	c.Timeout = patience
	harness.Eventually(t, patience, "a connection that is reset", func() (bool, string) {
		err := c.TrySend([]byte("is anybody there?"))
		return err != nil, fmt.Sprint(err)
	})
}

// A peer that sends on and on is kept waiting in the end. It is not closed on:
// that would reset the connection, and destroy the replies still on their way.
func TestConnDiscardsABoundedNumberOfBytes(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := harness.DialSmall(t, s.addr)
		conn := s.conn()
		c.Send(append(pings(1000), harness.Frame(strings.Repeat(" ", MaxRequest+1))[:HeaderSize]...))
		s.eventually("our side to end, replies being on their way", func() bool {
			return conn.state == stateLingering && unacknowledged(conn) > 0
		})

		s.on(func() {
			s.timers = nil // so that nothing but the bytes can end it
			assert.Equal(t, lingerBytes, conn.quota)
			conn.quota = 1000
		})

		c.Send(make([]byte, 999))
		s.eventually("999 bytes taken", func() bool { return conn.quota == 1 })
		assert.Equal(t, Readable, s.waits(conn))
		c.Send(make([]byte, 1))
		s.eventually("the last byte taken", func() bool {
			return conn.state == stateClosed || s.watches[conn.fd].mask == 0
		})

		s.wantConns(1)
		c.Send(make([]byte, 1000))
		s.eventually("more, and nobody to read it", func() bool { return unreadBytes(conn) == 1000 })
		s.wantSleep()
		s.wantConns(1)

		for i := range 1000 {
			c.WantPong(fmt.Sprint(i))
		}
		c.WantError()
		c.WantEOF()

		s.on(func() { conn.closeWhenStuck(math.MaxInt, time.Now().Add(time.Hour)) })
		s.wantConns(0)
	})
}

// A peer that has replies to take is given time as long as it takes them, and
// no more than a bounded time in all; one that takes nothing is not.
func TestConnLingersForWhoeverTakes(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		lingering := func() (*harness.Conn, *Conn) {
			c := harness.DialSmall(t, s.addr)
			conn := s.conn()
			c.Send(append(pings(1000), harness.Frame(strings.Repeat(" ", MaxRequest+1))[:HeaderSize]...))
			s.eventually("our side to end, replies being on their way", func() bool {
				return conn.state == stateLingering && unacknowledged(conn) > 0
			})
			return c, conn
		}

		c, conn := lingering()
		read := 0
		for range 3 {
			before := unacknowledged(conn)
			for ; unacknowledged(conn) >= before; read++ {
				c.WantPong(fmt.Sprint(read))
			}
			s.timeIsUp()
			s.wantConns(1)
		}
		s.timeIsUp() // it has taken nothing since
		s.wantConns(0)

		c, conn = lingering()
		s.on(func() {
			conn.lingering.Stop()
			conn.closeWhenStuck(math.MaxInt, time.Now())
		})
		c.WantPong("0")
		s.timeIsUp()
		s.wantConns(0)

		_, conn = s.linger()
		s.eventually("all of it taken, our end, too", func() bool { return unacknowledged(conn) == 0 })
		s.timeIsUp()
		s.on(func() { assert.Equal(t, stateClosed, conn.state) })
	})
}

// unacknowledged is how many bytes of replies are on their way.
func unacknowledged(c *Conn) int {
	n, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// A deaf peer doesn't hold its descriptor for ever.
func TestConnLingersNotForTheDeaf(t *testing.T) {
	p, err := NewPollPoller()
	require.NoError(t, err)
	s := newServing(t, p)
	s.start()
	c := harness.DialSmall(t, s.addr)
	conn := s.conn()
	c.Send(append(pings(1000), harness.Frame(strings.Repeat(" ", MaxRequest+1))[:HeaderSize]...))
	s.eventually("our side to end, replies being on their way", func() bool {
		return conn.state == stateLingering && unacknowledged(conn) > 0
	})
	began := time.Now()
	s.wantConns(0)
	assert.Less(t, time.Since(began), patience/2)
}

// The timer that bounds the lingering may outlive the connection, and then its
// descriptor's number is another's.
func TestConnLateTimerHarmsNobody(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c, conn := s.linger()
		c.Close()
		s.wantConns(0)
		s.on(func() { assert.False(t, slices.Contains(s.timers, conn.lingering), "its timer is stopped") })
		other := s.dial()
		s.ping(other)
		if s.conn().fd != conn.fd {
			t.Skip("the number was not used again")
		}
		s.timeIsUp()
		s.ping(other)
	})
}

// What comes in whole frames behind a frame that is too long isn't answered.
func TestConnLingeringAnswersNothing(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c, conn := s.linger()
		frames := pings(10)
		c.Send(frames)
		s.eventually("the bytes taken", func() bool { return conn.quota == lingerBytes-len(frames) })
		s.on(func() { assert.Empty(t, conn.out) })
	})
}

func TestConnErrorsAreAnsweredInTurn(t *testing.T) {
	eachServing(t, func(t *testing.T, s *serving) {
		c := s.dial()
		c.Send(slices.Concat(pings(1), AppendFrame(nil, nil), AppendFrame(nil, []byte("{")), pings(1)))
		c.WantPong("0")
		c.WantError()
		c.WantError()
		c.WantPong("0")
	})
}
