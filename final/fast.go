// The fast path of messages. Nearly every one of them has the same form, an
// object of two members with plain names. Those are read and written here
// without encoding/json, which would take most of a call's time; whatever
// looks different is left to it. A test holds the two to the same answers.

package rpc

import (
	"bytes"
	"encoding/json"
	"sync"
)

// maxKept is the most memory that one call leaves behind for the next, in
// bytes. A long message should not cost us its memory forever.
const maxKept = 64 << 10

// nameString returns name as a string. The usual ones cost no memory.
func nameString(name []byte) string {
	switch string(name) {
	case "ping":
		return "ping"
	case "pi":
		return "pi"
	case "pong":
		return "pong"
	case "pi_r":
		return "pi_r"
	case "error":
		return "error"
	}
	return string(name)
}

// readRequest is ParseRequest, except that the params may share body's memory.
func readRequest(body []byte) (Request, error) {
	method, params, ok := cutMessage(body, `{"in":`, `"params":`)
	if ok {
		return Request{method, params}, nil
	}
	return ParseRequest(body)
}

// cutMessage takes an object apart that has two members in this order: a plain
// name, and any JSON. begin is the brace and the first one's key, key the
// second's, with quotes and colon; white space is where Python puts it, or
// nowhere. The raw JSON shares body's memory. Not ok means that encoding/json
// must decide what body is.
func cutMessage(body []byte, begin, key string) (name string, raw []byte, ok bool) {
	rest, ok := cutPrefix(body, begin)
	if !ok {
		return "", nil, false
	}
	length := plainString(rest, 0x7f) // beyond ASCII a name could be invalid UTF-8, to be replaced
	if length <= len(`""`) {
		return "", nil, false
	}
	unquoted := rest[1 : length-1]

	rest, ok = cutPrefix(rest[length:], ",")
	if !ok {
		return "", nil, false
	}
	rest, ok = cutPrefix(rest, key)
	if !ok || len(rest) < 2 || rest[len(rest)-1] != '}' {
		return "", nil, false
	}
	raw = rest[:len(rest)-1]
	if !surelyValid(raw) {
		return "", nil, false
	}

	return nameString(unquoted), raw, true
}

// cutPrefix cuts prefix and one space after it off b.
func cutPrefix(b []byte, prefix string) (rest []byte, ok bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, false
	}

	b = b[len(prefix):]
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b, true
}

// plainString returns the length of the JSON string at the beginning of b, its
// quotes included, if it has no escapes and no byte above last; or else 0.
func plainString(b []byte, last byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}

	for i, c := range b[1:] {
		switch {
		case c == '"':
			return i + 2
		case c < ' ', c == '\\', c > last:
			return 0
		}
	}
	return 0
}

// surelyValid reports whether b is one JSON value with no white space around
// it, and would be one inside an object, too: encoding/json bounds how deeply
// values may be nested, to 10,000.
func surelyValid(b []byte) bool {
	if b[0] <= ' ' || b[len(b)-1] <= ' ' {
		return false
	}
	if plainString(b, 0xff) == len(b) {
		return true
	}
	return len(b) < 10_000 && json.Valid(b)
}

// appendName appends name as a JSON string.
func appendName(dst []byte, name string) []byte {
	start := len(dst)
	dst = append(dst, '"')
	dst = append(dst, name...)
	dst = append(dst, '"')

	if plainString(dst[start:], 0x7f) == len(dst)-start {
		return dst
	}
	quoted, _ := encode(name) // a string never fails
	return append(dst[:start], quoted...)
}

// An encoder is json.Marshal without the escapes that are meant for HTML, into
// memory that the next one uses again.
type encoder struct {
	buf  bytes.Buffer
	json *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buf)
	e.json.SetEscapeHTML(false)
	return e
}}

// newEncoder returns an encoder, which must be released.
func newEncoder() *encoder { return encoders.Get().(*encoder) }

// encode returns value as JSON, valid until the release.
func (e *encoder) encode(value any) (json.RawMessage, error) {
	e.buf.Reset()
	err := e.json.Encode(value)
	return bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")), err
}

func (e *encoder) release() {
	if e.buf.Cap() <= maxKept {
		encoders.Put(e)
	}
}
