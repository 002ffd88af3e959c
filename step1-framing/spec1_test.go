// Specification 1, the wire: what a client may send and what it gets back. The
// milestones come in the order in which a reader builds them. They speak to
// the program over TCP and need one connection at a time.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
)

// spec1Limit is the longest request, in bytes.
const spec1Limit = 1 << 20

func TestSpec1(t *testing.T) {
	// dial starts the program and connects to it.
	dial := func(t *testing.T) *harness.Conn {
		t.Helper()
		return theServer.Serve(t, harness.Options{}).Dial(t)
	}

	t.Run("1.1 one frame, whole", func(t *testing.T) {
		harness.Usually(t, "the length is four bytes, little-endian, and counts the body only; "+
			"if nothing came, the connection isn't accepted, or its reply isn't written "+
			`→ step1 README, "A stream has no messages"`)
		c := dial(t)
		c.SendFrame(`{"in":"ping","params":"hello"}`)
		c.WantPong(`"hello"`)
	})

	t.Run("1.2 one call after the other on one connection", func(t *testing.T) {
		harness.Usually(t, "the connection is closed after its first reply, "+
			"or bytes of the last frame are left in the buffer")
		c := dial(t)
		for i := range 10 {
			c.SendRequest("ping", i)
			c.WantPong(fmt.Sprint(i))
		}
	})

	t.Run("1.3 ping echoes its params byte for byte", func(t *testing.T) {
		harness.Usually(t, "params were decoded and encoded again: that escapes <, > and &, "+
			"drops white space and rounds numbers; or the length counts characters, and not bytes "+
			`→ step1 README, "Bytes as they came"`)
		c := dial(t)
		for _, params := range spec1Echoes {
			c.SendRequest("ping", json.RawMessage(params))
			c.WantEcho(params)
		}

		harness.Usually(t, "a request is any JSON object: its members come in any order, those that you don't know "+
			`are to be ignored, and what is echoed is the value of "params" alone`)
		for _, body := range spec1Spellings {
			c.SendFrame(body)
			c.WantEcho(`["a",1]`)
		}
	})

	t.Run("1.4 pi is computed from n+1 terms", func(t *testing.T) {
		harness.Usually(t, "another order of operations gives other bits: "+
			"add 1/(2i+1)/(2i+1) for i from 0 to n, n included")
		c := dial(t)
		for n, want := range map[int]string{
			0: "2.82842712475", 93: "3.1382045832", 95: "3.13827520401", 99: "3.13840796707",
		} {
			got := fmt.Sprintf("%.12g", spec1Pi(t, c, n))
			harness.Check(t, got == want, fmt.Sprintf("pi of %d: %s", n, want), "%s", got)
		}
		for n, want := range map[int]float64{93: 3.1382045831970156, 50: 3.135345271429545} {
			got := spec1Pi(t, c, n)
			harness.Check(t, got == want, fmt.Sprintf("pi of %d: %v, the same bits", n, want), "%v", got)
		}
	})

	t.Run("1.5 the error of pi is very nearly 1/(π(n+1))", func(t *testing.T) {
		harness.Usually(t, "the sum ends one term too early or too late")
		c := dial(t)
		for _, n := range []int{100, 1000, 10_000, 100_000} {
			got := (math.Pi - spec1Pi(t, c, n)) * float64(n+1) * math.Pi
			harness.Check(t, math.Abs(got-1) < 0.01,
				fmt.Sprintf("the error of pi of %d, times π(n+1), within 1 %% of 1", n), "%g", got)
		}
	})

	t.Run("1.6 a frame that arrives byte by byte", func(t *testing.T) {
		harness.Usually(t, "one read was taken for one frame: keep what has come until the frame is whole "+
			`→ step1 README, "A stream has no messages"`)
		c := dial(t)
		frame := harness.Frame(`{"in":"ping","params":"slow"}`)
		for i, b := range frame {
			if i == len(frame)-1 {
				c.WantSilence()
			}
			c.Send([]byte{b})
		}
		c.WantPong(`"slow"`)
	})

	t.Run("1.7 a length that arrives in two pieces", func(t *testing.T) {
		harness.Usually(t, "the four bytes of the length were taken to arrive together "+
			`→ step1 README, "A stream has no messages"`)
		c := dial(t)
		frame := harness.Frame(`{"in":"ping","params":"in two"}`)
		for cut := 1; cut <= 4; cut++ {
			c.Send(frame[:cut])
			c.WantSilence()
			c.Send(frame[cut:])
			c.WantPong(`"in two"`)
		}
	})

	t.Run("1.8 several frames in one write are all answered, in order", func(t *testing.T) {
		harness.Usually(t, "only the first frame of a read was handled: go on until no whole frame is left; "+
			"or a request was handled beside the one before it, and its reply came first "+
			`→ step1 README, "A stream has no messages"`)
		c := dial(t)
		var frames []byte
		for i := range 100 {
			frames = append(frames, harness.Frame(harness.Request("ping", i))...)
		}
		c.Send(frames)
		for i := range 100 {
			c.WantPong(fmt.Sprint(i))
		}
	})

	t.Run("1.9 a write that ends inside the next frame", func(t *testing.T) {
		harness.Usually(t, "the beginning of the next frame was thrown away with the rest of the buffer "+
			`→ step1 README, "A stream has no messages"`)
		c := dial(t)
		one, two := harness.Frame(`{"in":"ping","params":1}`), harness.Frame(`{"in":"ping","params":2}`)
		both := append(one, two...)
		for cut := len(one) + 1; cut < len(both); cut += 3 {
			c.Send(both[:cut])
			c.WantPong("1")
			c.Send(both[cut:])
			c.WantPong("2")
		}
	})

	t.Run("1.10 frames of exactly 1024 bytes, and of multiples of it", func(t *testing.T) {
		harness.Usually(t, "a read that fills the buffer was taken for the end, "+
			"or for something that goes on, and read again")
		c := dial(t)
		envelope := len(`{"in":"ping","params":""}`)
		for _, size := range []int{1023, 1024, 1025, 2048, 4096, 8192, 16 << 10, 32 << 10, 64 << 10, 128 << 10} {
			for _, header := range []int{0, 4} { // that many bytes in the body, or in body and length together
				params := `"` + strings.Repeat("x", size-header-envelope) + `"`
				c.SendRequest("ping", json.RawMessage(params))
				c.WantPong(params)
			}
		}
	})

	t.Run("1.11 a bad request is answered with an error, and the connection goes on", func(t *testing.T) {
		harness.Usually(t, "every error needs an answer, also a panic; null decodes into an int without an error, "+
			"and missing params, echoed, make a reply that is not JSON")
		c := dial(t)
		for i, body := range spec1Bad {
			c.SendFrame(body)
			c.WantError()
			c.SendRequest("ping", i)
			c.WantPong(fmt.Sprint(i))
		}

		harness.Usually(t, "n is a whole number, written as one: look at the text, "+
			"for a JSON parser may make the same 1 of 1.0 and of 1e0")
		for _, n := range []string{"1.0", "1e2", "1E2", "100e-2", "0.0", "5.00"} {
			c.SendRequest("pi", json.RawMessage(n))
			c.WantError()
		}
	})

	t.Run("1.12 a bad request between good ones, all in one write", func(t *testing.T) {
		harness.Usually(t, "after an error the rest of what was read is forgotten")
		c := dial(t)
		good, bad := harness.Frame(`{"in":"ping","params":"good"}`), harness.Frame(`{"in":`)
		empty := harness.Frame("")
		c.Send([]byte(string(good) + string(bad) + string(good) + string(empty) + string(good)))
		c.WantPong(`"good"`)
		c.WantError()
		c.WantPong(`"good"`)
		c.WantError()
		c.WantPong(`"good"`)
	})

	t.Run("1.13 a request of 1 MiB, the limit", func(t *testing.T) {
		harness.Usually(t, "the limit counts the body without its length; a reply may be longer than one write takes")
		c := dial(t)
		params := `"` + strings.Repeat("x", spec1Limit-len(`{"in":"ping","params":""}`)) + `"`
		request := harness.Frame(harness.Request("ping", json.RawMessage(params)))
		harness.Check(t, len(request) == 4+spec1Limit, "a request at the limit", "%d bytes", len(request))
		for range 3 {
			go func() { _ = c.TrySend(request) }() // a server may write before it has read all
			c.WantPong(params)
		}

		harness.Usually(t, "an error reply quotes all of a long request, and escapes it: quote only its beginning")
		c.SendFrame(`{"in":"` + strings.Repeat("\x7f", 1_000_000) + `","params":1}`)
		reply := c.ReadReply()
		harness.Check(t, reply.Kind == "error", "an error reply: there is no such method", "%v", reply)
		harness.Check(t, len(reply.Result) <= spec1Limit, "an error reply that a client accepts, of 1 MiB at most",
			"%d bytes", len(reply.Result))
	})

	t.Run("1.14 one byte over the limit: an error reply while we still send, then the end", func(t *testing.T) {
		harness.Usually(t, "nothing is said before the end, or the socket is closed with unread input, which resets "+
			"the connection and destroys the reply: answer, end your side, read on, then close "+
			`→ step1 README, "End your side first"`)
		s := theServer.Serve(t, harness.Options{})
		body := bytes.Repeat([]byte("x"), spec1Limit) // zeros would pass for empty frames

		// The limit itself comes last. To a server without one, that frame
		// would be whole: a bad request, which gets an error reply as well, but
		// no end of the connection.
		for _, length := range []uint32{1 << 24, 1 << 31, 0xFFFFFFFF, spec1Limit + 1} {
			c := s.Dial(t)
			header := []byte{byte(length), byte(length >> 8), byte(length >> 16), byte(length >> 24)}
			// More than the buffers on the way hold: the server must keep
			// reading, or its reply is lost when it closes the connection.
			c.Send(append(header, body[:64<<10]...))
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_ = c.TrySend(body) // cut off or not, we don't care
			}()
			c.WantError()
			c.WantEOF()
			<-sent
			c.Close()
		}

		s.Call(t, "ping", "the server goes on")
	})

	t.Run("1.15 a length over the limit is enough: the error doesn't wait for the body", func(t *testing.T) {
		harness.Usually(t, "check the length before anything is allocated or read for it "+
			`→ step1 README, "A limit before the body"`)
		c := dial(t)
		c.Send(append(harness.Frame(harness.Request("ping", "before")), 0xFF, 0xFF, 0xFF, 0xFF))
		c.WantPong(`"before"`)
		c.WantError()
		c.WantEOF()
	})

	t.Run("1.16 a client that has finished sending still gets all its replies", func(t *testing.T) {
		harness.Usually(t, "the end of what the client sends was taken for the end of the client")
		c := dial(t)
		var frames []byte
		for i := range 20 {
			frames = append(frames, harness.Frame(harness.Request("ping", i))...)
		}
		c.Send(frames)
		c.CloseWrite()
		for i := range 20 {
			c.WantPong(fmt.Sprint(i))
		}
		c.WantEOF()
	})

	t.Run("1.17 one client after another, however the last one left", func(t *testing.T) {
		harness.Usually(t, "an error of one connection ended the loop that accepts the next")
		s := theServer.Serve(t, harness.Options{})
		leave := []func(c *harness.Conn){
			func(c *harness.Conn) {},
			func(c *harness.Conn) { c.Send([]byte{30, 0}) },
			func(c *harness.Conn) { c.SendRequest("ping", strings.Repeat("x", 100_000)) },
			func(c *harness.Conn) { c.Send([]byte{30, 0, 0, 0, '{'}); c.Reset() },
			func(c *harness.Conn) { c.SendRequest("ping", "lost"); c.Reset() },
		}
		for i, last := range leave {
			c := s.Dial(t)
			c.SendRequest("ping", i)
			c.WantPong(fmt.Sprint(i))
			last(c)
			c.Close()
		}
		s.Call(t, "ping", "the server goes on")
	})

	t.Run("1.18 no call waits 40 ms for an acknowledgement", func(t *testing.T) {
		harness.Usually(t, "length and body left in two writes: "+
			"the second waits for the acknowledgement of the first, some 40 ms")
		c := dial(t)
		var took []time.Duration
		for i := range 100 {
			start := time.Now()
			c.SendRequest("ping", i)
			c.WantPong(fmt.Sprint(i))
			took = append(took, time.Since(start))
		}

		// The median: a busy machine makes some calls slow, and the kernel
		// acknowledges the first few of a connection at once.
		slices.Sort(took)
		median := took[len(took)/2]
		harness.Check(t, median < 20*time.Millisecond,
			"most of 100 calls in less than 20ms each (44 ms is what two writes cost)", "a median of %v", median)
	})

	t.Run("1.19 a client that stays after it was told the end is let go", func(t *testing.T) {
		harness.Usually(t, "the server reads on after it has ended its side, for as long as the client stays: "+
			`set a deadline → step1 README, "End your side first"`)
		s := theServer.Serve(t, harness.Options{})
		stays := s.Dial(t)
		stays.Send([]byte{0xFF, 0xFF, 0xFF, 0xFF})
		stays.WantError()
		stays.WantEOF()

		s.Call(t, "ping", "whose turn is it?")
		closed := "its connection closed, so that what it sends is refused"
		harness.Eventually(t, 10*time.Second, closed, func() (bool, string) {
			return stays.TrySend([]byte{'x'}) != nil, "what it sends is still taken"
		})
	})
}

// spec1Pi calls pi. That the program has it is given: a milestone's usual cause
// is of the value.
func spec1Pi(t *testing.T, c *harness.Conn, n int) float64 {
	t.Helper()
	var value float64
	harness.Given(t, func() {
		reply := c.Call("pi", n)
		err := json.Unmarshal(reply.Result, &value)
		harness.Check(t, reply.Kind == "pi_r" && err == nil, "a reply of kind pi_r with a number", "%v", reply)
	})
	return value
}

// spec1Echoes are params that a server changes if it does more with them than
// to pass them on.
var spec1Echoes = []string{
	`"hello"`, `5`, `true`, `null`, `[]`, `{}`, `""`,
	`"<b>Fish & Chips</b>"`,
	`{ "a" : [ 1 ,  2,3 ],` + "\n\t" + `"b":  "c" }`,
	`123456789012345678901234567890`, `1.0`, `1e5`, `1E+5`, `-0`, `0.1000`,
	`"ü € 😀"`, `"\u00fc \u20ac \ud83d\ude00 \/ \b"`, "\"\u2028\u2029\"",
	`{"a":1,"a":2,"":0}`,
	strings.Repeat("[", 200) + strings.Repeat("]", 200),
}

// spec1Spellings are requests that all say the same: ping, with the params
// ["a",1].
var spec1Spellings = []string{
	`{"in":"ping","params":["a",1]}`,
	`{"params":["a",1],"in":"ping"}`,
	`{"in":"ping","params":["a",1],"id":7}`,
	`{"id":7,"in":"ping","params":["a",1]}`,
	`{"in":"ping","more":{"in":"pi","params":5},"params":["a",1],"trace":["}",{}]}`,
	`{"params":["a",1],"more":null,"in":"ping"}`,
	" {\t\"in\" :\r\n\"ping\" , \"params\"\n:\t[\"a\",1] } ",
}

// spec1Bad are bodies that must be answered with an error.
var spec1Bad = []string{
	// not JSON
	"", " ", "hello", `{"in":"ping","params":1`, `{"in":"ping","params":1}}`, `{'in':'ping','params':1}`,
	`{"in":"ping","params":NaN}`, `{"in":"ping","params":Infinity}`, `{"in":"ping","params":-Infinity}`,
	"\x00\x01\x02\xff",
	// not an object
	`null`, `5`, `"ping"`, `["ping",1]`,
	// no such method
	`{}`, `{"params":1}`, `{"in":null,"params":1}`, `{"in":5,"params":1}`, `{"in":["ping"],"params":1}`,
	`{"in":"","params":1}`, `{"in":"pong","params":1}`,
	// missing or bad params
	`{"in":"ping"}`, `{"in":"pi"}`,
	`{"in":"pi","params":-1}`, `{"in":"pi","params":1.5}`, `{"in":"pi","params":true}`, `{"in":"pi","params":"5"}`,
	`{"in":"pi","params":null}`, `{"in":"pi","params":[1]}`, `{"in":"pi","params":{}}`,
	// more than a server is ready to compute
	`{"in":"pi","params":100000001}`, `{"in":"pi","params":9223372036854775808}`,
	`{"in":"pi","params":1` + strings.Repeat("0", 400) + `}`,
}
