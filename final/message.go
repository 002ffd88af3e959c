// Messages: what a frame's body says. A request names a method and carries its
// params; a reply says what kind of answer it is and carries the result. Both
// are JSON, and params and results are passed on untouched, byte for byte.

package rpc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// A Request is one call.
type Request struct {
	Method string          `json:"in"`
	Params json.RawMessage `json:"params"` // any JSON; nil means missing
}

// A Reply is one answer. Kind "error" says that the call failed, and its
// Result, a string, says why.
type Reply struct {
	Kind   string          `json:"out"`
	Result json.RawMessage `json:"result"` // any JSON
}

// ParseRequest reads a request body. The request doesn't share its memory.
func ParseRequest(body []byte) (Request, error) {
	if method, params, ok := cutMessage(body, `{"in":`, `"params":`); ok {
		return Request{method, bytes.Clone(params)}, nil
	}
	var r Request
	err := parseObject(body, &r)
	if err != nil {
		return r, fmt.Errorf("bad request: %w", err)
	}
	if r.Method == "" {
		return r, errors.New(`bad request: "in" must name a method`)
	}
	return r, nil
}

// ParseReply reads a reply body.
func ParseReply(body []byte) (Reply, error) {
	if kind, result, ok := cutMessage(body, `{"out":`, `"result":`); ok {
		return Reply{kind, bytes.Clone(result)}, nil
	}
	var r Reply
	err := parseObject(body, &r)
	if err != nil {
		return r, fmt.Errorf("bad reply: %w", err)
	}
	if r.Kind == "" || r.Result == nil {
		return r, errors.New(`bad reply: "out" or "result" is missing`)
	}
	return r, nil
}

// parseObject is json.Unmarshal for a body that must be an object: Unmarshal
// itself takes null for any struct and leaves it empty.
func parseObject(body []byte, into any) error {
	var wrongType *json.UnmarshalTypeError
	err := json.Unmarshal(body, into)
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fmt.Errorf("%q must be a string, not a JSON %s", wrongType.Field, wrongType.Value)
	case errors.As(err, &wrongType), err == nil && bytes.TrimSpace(body)[0] != '{':
		return errors.New("not a JSON object")
	case err != nil:
		return fmt.Errorf("not JSON: %w", err)
	}
	return nil
}

// Append appends the request as JSON to dst and returns the extended slice.
// The Params must be valid JSON.
func (r Request) Append(dst []byte) []byte {
	return appendMessage(dst, `{"in":`, r.Method, `,"params":`, r.Params)
}

// Append appends the reply as JSON to dst and returns the extended slice. The
// Result must be valid JSON.
func (r Reply) Append(dst []byte) []byte {
	return appendMessage(dst, `{"out":`, r.Kind, `,"result":`, r.Result)
}

// appendMessage puts the envelope around JSON that is already there.
// json.Marshal would check it again, drop its white space and escape its <, >
// and &: then ping would no longer echo what it was sent.
func appendMessage(dst []byte, key1, name, key2 string, raw json.RawMessage) []byte {
	dst = append(dst, key1...)
	dst = appendName(dst, name)
	dst = append(dst, key2...)
	dst = append(dst, raw...)
	return append(dst, '}')
}

// encode is json.Marshal without the escapes that are meant for HTML.
func encode(value any) (json.RawMessage, error) {
	e := newEncoder()
	defer e.release()
	raw, err := e.encode(value)
	return bytes.Clone(raw), err
}

// NewReply returns a reply of that kind with result as JSON, or an error reply
// if JSON can't express the result.
func NewReply(kind string, result any) Reply {
	raw, err := encode(result)
	if err != nil {
		return ErrorReply(fmt.Errorf("the result is not JSON: %w", err))
	}
	return Reply{Kind: kind, Result: raw}
}

// AppendReply appends the frame of a reply to dst and returns the extended
// slice. A reply that is longer than a client accepts becomes an error reply:
// the client would end the connection, with all the calls on it.
func AppendReply(dst []byte, r Reply) []byte {
	at := len(dst)
	dst = r.Append(append(dst, make([]byte, HeaderSize)...)) // in place: no copy of it
	length := len(dst) - at - HeaderSize
	if length > MaxReply {
		return AppendReply(dst[:at], replyTooLong(length))
	}

	binary.LittleEndian.PutUint32(dst[at:], uint32(length))
	return dst
}

func replyTooLong(length int) Reply {
	return ErrorReply(fmt.Errorf("the reply would be %d bytes, over the limit of %d", length, MaxReply))
}

// ErrorReply returns the reply that tells the caller what was wrong.
func ErrorReply(err error) Reply {
	return NewReply("error", err.Error())
}
