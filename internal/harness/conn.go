// The wire client: one TCP connection that sends what it is told, byte by byte
// if need be, and reads replies, always with a deadline.

package harness

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/runpicture"
)

// maxReply is more than any reply should be long, in bytes.
const maxReply = 16 << 20

// A Reply is one answer of a server.
type Reply struct {
	Kind   string          `json:"out"`
	Result json.RawMessage `json:"result"` // as received, byte for byte
}

// String shows the reply, a long result cut short.
func (r Reply) String() string { return r.Kind + " " + clip(string(r.Result)) }

// A Conn is a test's connection to a server. Its verbs report failures to the
// test and must be called on the test's goroutine; TrySend, TryReply and
// TryCall return errors and may be called on another one, one at a time for
// sending and one for reading.
type Conn struct {
	Timeout time.Duration // for each verb; 10 s unless the test says otherwise

	t   testing.TB
	tcp *net.TCPConn
	in  *bufio.Reader

	// For the trace.
	lane   runpicture.Lane
	peer   []runpicture.Lane // the server's, if that is known
	asked  sync.Once         // who holds the other end
	closes sync.Once
}

// Dial connects to addr. The connection is closed at the end of the test.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	return dial(t, addr, net.Dialer{})
}

// DialSmall connects to addr with socket buffers as small as possible, so
// that little fits between a peer that sends and one that doesn't read.
func DialSmall(t testing.TB, addr string) *Conn {
	t.Helper()
	return dial(t, addr, net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		controlErr := raw.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096),
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4096))
		})
		return errors.Join(controlErr, err)
	}})
}

func dial(t testing.TB, addr string, dialer net.Dialer) *Conn {
	t.Helper()
	words := "dialed " + addr
	did(t, words, runpicture.Event{Kind: runpicture.Dialed, Text: words})
	dialer.Deadline = until(t, 10*time.Second)
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		fail(t, "a connection to "+addr, err.Error())
	}
	c := newConn(t, conn)
	t.Cleanup(c.Close)
	return c
}

func newConn(t testing.TB, conn net.Conn) *Conn {
	c := &Conn{Timeout: 10 * time.Second, t: t, tcp: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, 64<<10)}
	c.open()
	return c
}

// Frame returns body as a frame: its length, four bytes, little-endian, then
// the body.
func Frame(body string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// Request returns the body of a request. The params are encoded as JSON; a
// json.RawMessage is put in as it is.
func Request(method string, params any) string {
	raw, ok := params.(json.RawMessage)
	if !ok {
		var err error
		raw, err = json.Marshal(params)
		if err != nil {
			panic(fmt.Sprintf("params %v are not JSON: %v", params, err))
		}
	}
	return fmt.Sprintf(`{"in":%q,"params":%s}`, method, raw)
}

// Send sends these bytes and nothing else, in one write.
func (c *Conn) Send(b []byte) {
	c.t.Helper()
	did(c.t, sent(b), c.sending(b))
	if err := c.write(b); err != nil {
		fail(c.t, fmt.Sprintf("the server to take %d bytes", len(b)), err.Error())
	}
}

// TrySend is Send for other goroutines.
func (c *Conn) TrySend(b []byte) error {
	Note(c.t, func() runpicture.Event { return c.sending(b) })
	return c.write(b)
}

func (c *Conn) write(b []byte) error {
	_ = c.tcp.SetWriteDeadline(until(c.t, c.Timeout))
	_, err := c.tcp.Write(b)
	return err
}

// SendFrame sends body as a frame.
func (c *Conn) SendFrame(body string) {
	c.t.Helper()
	c.Send(Frame(body))
}

// SendRequest sends a request, with params as in Request.
func (c *Conn) SendRequest(method string, params any) {
	c.t.Helper()
	c.SendFrame(Request(method, params))
}

// Call sends a request, with params as in Request, and returns the reply.
func (c *Conn) Call(method string, params any) Reply {
	c.t.Helper()
	c.SendRequest(method, params)
	return c.ReadReply()
}

// TryCall is Call for other goroutines.
func (c *Conn) TryCall(method string, params any) (Reply, error) {
	if err := c.TrySend(Frame(Request(method, params))); err != nil {
		return Reply{}, err
	}
	return c.TryReply()
}

// ReadReply reads the next reply.
func (c *Conn) ReadReply() Reply {
	c.t.Helper()
	reply, err := c.TryReply()
	if err != nil {
		fail(c.t, fmt.Sprintf("a reply within %v", c.Timeout), err.Error())
	}
	return reply
}

// errCutShort tells of a connection that ended in the middle of a reply.
var errCutShort = errors.New("the connection ended inside a reply")

func cutShort(err error, n int, of string) error {
	if isTimeout(err) {
		return fmt.Errorf("%d of the %s of a reply: %w", n, of, err)
	}
	return fmt.Errorf("%w: %d of the %s: %w", errCutShort, n, of, err)
}

// TryReply is ReadReply for other goroutines. The error is io.EOF if the
// connection ended properly, before the first byte of a reply.
func (c *Conn) TryReply() (Reply, error) {
	_ = c.tcp.SetReadDeadline(until(c.t, c.Timeout))
	var header [4]byte
	if n, err := io.ReadFull(c.in, header[:]); n == 0 && err != nil && !isTimeout(err) {
		return Reply{}, err
	} else if err != nil {
		err = cutShort(err, n, "4 bytes of the length")
		if n > 0 {
			err = fmt.Errorf("%w\n%s", err, pointAtLength(header[:n]))
		}
		return Reply{}, err
	}

	length := binary.LittleEndian.Uint32(header[:])
	if length > maxReply {
		more, _ := c.in.Peek(min(16, c.in.Buffered()))
		return Reply{}, fmt.Errorf("a reply that is too long\n%s", pointAtLength(append(header[:], more...)))
	}

	body := make([]byte, length)
	if n, err := io.ReadFull(c.in, body); err != nil {
		announced := fmt.Sprintf("%d bytes announced", length)
		return Reply{}, fmt.Errorf("%w\n%s",
			cutShort(err, n, announced), pointAtLength(append(header[:], body[:n]...)))
	}

	var reply Reply
	if err := json.Unmarshal(body, &reply); err != nil {
		return Reply{}, fmt.Errorf("a reply that is not JSON: %w: %s\n%s",
			err, clip(string(body)), pointAtLength(append(header[:], body...)))
	}
	if reply.Kind == "" || reply.Result == nil {
		return Reply{}, fmt.Errorf(`a reply without "out" or "result": %s`, clip(string(body)))
	}

	c.received(reply, header[:], body)
	return reply, nil
}

// TryDiscard reads until the end of the connection and looks at nothing, for
// other goroutines. It ends with the test at the latest.
func (c *Conn) TryDiscard() error {
	_ = c.tcp.SetReadDeadline(time.Time{})
	_, err := io.Copy(io.Discard, c.in)
	return err
}

// WantReply reads the next reply, which must be of that kind and have that
// result, compared as JSON values.
func (c *Conn) WantReply(kind, result string) {
	c.t.Helper()
	c.want(kind, result, sameJSON)
}

// WantEcho reads the next reply, which must be a pong of these params, byte
// for byte.
func (c *Conn) WantEcho(params string) {
	c.t.Helper()
	c.want("pong", params, func(a, b string) bool { return a == b })
}

func (c *Conn) want(kind, result string, same func(a, b string) bool) {
	c.t.Helper()
	reply := c.ReadReply()
	if reply.Kind == kind && same(string(reply.Result), result) {
		return
	}

	got := reply.String()
	if reply.Kind == kind && len(reply.Result)+len(result) > 200 {
		at := 0
		for at < min(len(result), len(reply.Result)) && result[at] == reply.Result[at] {
			at++
		}
		from := max(0, at-20)
		got = fmt.Sprintf("%d bytes where %d were expected; from byte %d on: %s",
			len(reply.Result), len(result), from, clip(string(reply.Result[from:])))
	}

	fail(c.t, fmt.Sprintf("the reply %s %s", kind, clip(result)), got)
}

// WantPong reads the next reply, which must be the echo of these params, JSON.
func (c *Conn) WantPong(params string) {
	c.t.Helper()
	c.WantReply("pong", params)
}

// WantError reads the next reply, which must be an error that says something.
func (c *Conn) WantError() {
	c.t.Helper()
	reply, err := c.TryReply()
	if err != nil {
		fail(c.t, fmt.Sprintf("an error reply within %v", c.Timeout), err.Error())
	}
	var text string
	if reply.Kind != "error" || json.Unmarshal(reply.Result, &text) != nil || text == "" {
		fail(c.t, `a reply of kind "error" whose result is a text`, reply.String())
	}
}

// WantEOF expects the server to end the connection, properly and without
// another byte.
func (c *Conn) WantEOF() {
	c.t.Helper()
	_ = c.tcp.SetReadDeadline(until(c.t, c.Timeout))
	rest, err := io.ReadAll(io.LimitReader(c.in, 1024))
	switch {
	case len(rest) > 0:
		fail(c.t, "the end of the connection", fmt.Sprintf("%d more bytes\n%s", len(rest), hex.Dump(rest)))
	case err != nil:
		fail(c.t, fmt.Sprintf("the end of the connection, within %v", c.Timeout), err.Error())
	}
	SawAt(c.t, c.lane, "the connection has ended")
}

// WantSilence checks that nothing has arrived from the server so far.
func (c *Conn) WantSilence() {
	c.t.Helper()
	_ = c.tcp.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	got, err := c.in.Peek(1)
	if len(got) > 0 || !isTimeout(err) {
		fail(c.t, "nothing from the server yet", fmt.Sprintf("%d bytes buffered, error %v", c.in.Buffered(), err))
	}
}

// CloseWrite ends our direction of the connection: the server sees its end,
// and can still answer.
func (c *Conn) CloseWrite() {
	c.t.Helper()
	DidAt(c.t, c.lane, "ended the sending direction of a connection")
	if err := c.tcp.CloseWrite(); err != nil {
		fail(c.t, "a connection to end", err.Error())
	}
}

// Reset ends the connection the hard way, as a client that crashed: what it
// hasn't read is lost, and the server's next write to it fails.
func (c *Conn) Reset() {
	c.t.Helper()
	DidAt(c.t, c.lane, "reset a connection")
	_ = c.tcp.SetLinger(0)
	c.Close()
}

// Close closes the connection. It may be called on any goroutine, and again.
func (c *Conn) Close() {
	c.closes.Do(c.closed)
	c.tcp.Close()
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// clip shortens a text to what belongs in a message.
func clip(text string) string { return clipTo(text, 120) }

// clipTo shortens a text to at most so many bytes, and says how many it has.
func clipTo(text string, most int) string { return cut(text, most, len(text)) }

// cut shortens a text to at most so many bytes, and says then that there are
// whole bytes: the text's own length, or that of what the text only begins to
// show.
func cut(text string, most, whole int) string {
	if len(text) <= most {
		return text
	}
	return string(bytes.ToValidUTF8([]byte(text[:most]), nil)) + fmt.Sprintf("… (%d bytes)", whole)
}
