// Tests of messages: what is a request and a reply, what is wrong with
// everything else, and that params and results pass untouched.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// untouched are params whose text a round trip through Go values would change.
var untouched = map[string]string{
	"null":                        `null`,
	"false":                       `false`,
	"an empty string":             `""`,
	"what HTML would escape":      `"<a href='x'>&amp;</a>"`,
	"escapes that need not be":    `"\u003c\/\u0041\ud83d\ude00"`,
	"a half of a surrogate pair":  `"\ud800"`,
	"line separators":             "\"\u2028\u2029\"",
	"letters beyond ASCII":        `"π ≈ 3, 世界"`,
	"bytes that are not UTF-8":    "\"\xff\xfe\"",
	"a number beyond 2^53":        `12345678901234567890`,
	"a number beyond float64":     `1e400`,
	"zeros that could be left":    `[1.0, 1.50, 1E+02, -0]`,
	"white space inside":          "{ \"b\" : [ ] ,\n\t\"a\":\r\n1 }",
	"the order of keys and twins": `{"z":1,"a":2,"z":3}`,
	"nested":                      strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
}

func TestParseRequest(t *testing.T) {
	for name, params := range untouched {
		r, err := ParseRequest([]byte(`{"in":"ping","params":` + params + `}`))
		require.NoError(t, err, name)
		assert.Equal(t, Request{Method: "ping", Params: json.RawMessage(params)}, r, name)
	}
	for _, c := range []struct {
		name, body string
		want       Request
	}{
		{"white space", " \r\n{\t\"in\" : \"pi\" , \"params\" :  7  }\n", Request{"pi", json.RawMessage("7")}},
		{"params first", `{"params":7,"in":"pi"}`, Request{"pi", json.RawMessage("7")}},
		{"unknown keys", `{"id":1,"in":"pi","jsonrpc":{"a":[]},"params":7}`, Request{"pi", json.RawMessage("7")}},
		{"of a key given twice the last counts", `{"in":"ping","params":1,"in":"pi","params":2}`,
			Request{"pi", json.RawMessage("2")}},
		{"escapes in keys and names", `{"i\u006e":"p\u0069","params":7}`, Request{"pi", json.RawMessage("7")}},
		{"missing params are not null", `{"in":"pi"}`, Request{"pi", nil}},
		{"any text may be a method", `{"in":"no such\n\"method\"","params":0}`,
			Request{"no such\n\"method\"", json.RawMessage("0")}},
	} {
		r, err := ParseRequest([]byte(c.body))
		require.NoError(t, err, c.name)
		assert.Equal(t, c.want, r, c.name)
	}
}

// notJSON and notObjects are bodies that neither side accepts.
var (
	notJSON = map[string]string{
		"nothing":                ``,
		"white space":            " \n",
		"words":                  `hello`,
		"cut short":              `{"in":"ping","params":1`,
		"trailing data":          `{"in":"ping","params":1} x`,
		"two messages":           `{"in":"ping","params":1}{"in":"ping","params":1}`,
		"a trailing comma":       `{"in":"ping","params":1,}`,
		"single quotes":          `{'in':'ping','params':1}`,
		"a comment":              `{"in":"ping","params":1/**/}`,
		"NaN":                    `{"in":"ping","params":NaN}`,
		"Infinity":               `{"in":"ping","params":Infinity}`,
		"-Infinity":              `{"in":"ping","params":[-Infinity]}`,
		"a leading zero":         `{"in":"pi","params":093}`,
		"a plus sign":            `{"in":"pi","params":+93}`,
		"a line break in a text": "{\"in\":\"ping\",\"params\":\"a\nb\"}",
		"a zero byte":            "{\"in\":\"ping\",\"params\":1}\x00",
		"a byte order mark":      "\xef\xbb\xbf{\"in\":\"ping\",\"params\":1}",
		"nested without end":     strings.Repeat("[", MaxRequest),
	}
	notObjects = []string{`null`, ` null `, `true`, `93`, `"ping"`, `[]`, `["ping",1]`, `[{"in":"ping","params":1}]`}
)

func TestParseRequestErrors(t *testing.T) {
	for name, body := range notJSON {
		_, err := ParseRequest([]byte(body))
		assert.ErrorContains(t, err, "bad request: not JSON: ", name)
	}

	for _, body := range notObjects {
		_, err := ParseRequest([]byte(body))
		assert.EqualError(t, err, "bad request: not a JSON object", body)
	}

	for body, want := range map[string]string{
		`{}`:                       `bad request: "in" must name a method`,
		`{"params":1}`:             `bad request: "in" must name a method`,
		`{"in":"","params":1}`:     `bad request: "in" must name a method`,
		`{"in":null,"params":1}`:   `bad request: "in" must name a method`,
		`{"in":93,"params":1}`:     `bad request: "in" must be a string, not a JSON number`,
		`{"in":true,"params":1}`:   `bad request: "in" must be a string, not a JSON bool`,
		`{"in":["pi"],"params":1}`: `bad request: "in" must be a string, not a JSON array`,
		`{"in":{},"params":1}`:     `bad request: "in" must be a string, not a JSON object`,
	} {
		_, err := ParseRequest([]byte(body))
		assert.EqualError(t, err, want, body)
	}
}

func TestParseReply(t *testing.T) {
	for name, result := range untouched {
		r, err := ParseReply([]byte(`{"out":"pong","result":` + result + `}`))
		require.NoError(t, err, name)
		assert.Equal(t, Reply{Kind: "pong", Result: json.RawMessage(result)}, r, name)
	}

	for name, body := range notJSON {
		_, err := ParseReply([]byte(body))
		assert.ErrorContains(t, err, "bad reply: not JSON: ", name)
	}

	for _, body := range notObjects {
		_, err := ParseReply([]byte(body))
		assert.EqualError(t, err, "bad reply: not a JSON object", body)
	}

	for body, want := range map[string]string{
		`{}`:                     `bad reply: "out" or "result" is missing`,
		`{"out":"pong"}`:         `bad reply: "out" or "result" is missing`,
		`{"result":1}`:           `bad reply: "out" or "result" is missing`,
		`{"out":"","result":1}`:  `bad reply: "out" or "result" is missing`,
		`{"out":93,"result":1}`:  `bad reply: "out" must be a string, not a JSON number`,
		`{"in":"pi","params":1}`: `bad reply: "out" or "result" is missing`,
	} {
		_, err := ParseReply([]byte(body))
		assert.EqualError(t, err, want, body)
	}
}

func TestAppendMessages(t *testing.T) {
	request := Request{Method: "ping", Params: json.RawMessage(`[1]`)}
	assert.Equal(t, `{"in":"ping","params":[1]}`, string(request.Append(nil)))
	assert.Equal(t, `before{"in":"ping","params":[1]}`, string(request.Append([]byte("before"))))
	reply := Reply{Kind: "pong", Result: json.RawMessage(`[1]`)}
	assert.Equal(t, `{"out":"pong","result":[1]}`, string(reply.Append(nil)))
	assert.Equal(t, `before{"out":"pong","result":[1]}`, string(reply.Append([]byte("before"))))

	for name, raw := range untouched {
		request, reply := Request{"ping", json.RawMessage(raw)}, Reply{"pong", json.RawMessage(raw)}
		assert.Equal(t, `{"in":"ping","params":`+raw+`}`, string(request.Append(nil)), name)
		assert.Equal(t, `{"out":"pong","result":`+raw+`}`, string(reply.Append(nil)), name)
	}
}

func TestNamesAreQuoted(t *testing.T) {
	name := "<a> & \"b\"\n\\π"
	body := Request{Method: name, Params: json.RawMessage(`0`)}.Append(nil)
	assert.Equal(t, `{"in":"<a> & \"b\"\n\\π","params":0}`, string(body))
	request, err := ParseRequest(body)
	require.NoError(t, err)
	assert.Equal(t, name, request.Method)

	reply, err := ParseReply(Reply{Kind: name, Result: json.RawMessage(`0`)}.Append(nil))
	require.NoError(t, err)
	assert.Equal(t, name, reply.Kind)
}

func TestNewReply(t *testing.T) {
	for want, result := range map[string]any{
		`{"out":"k","result":null}`:               nil,
		`{"out":"k","result":"<&> \"π\""}`:        `<&> "π"`,
		`{"out":"k","result":3.1382045831970156}`: 3.1382045831970156,
		`{"out":"k","result":{"a":[1,true]}}`:     map[string]any{"a": []any{1, true}},
	} {
		assert.Equal(t, want, string(NewReply("k", result).Append(nil)))
	}
	assert.Equal(t, `{"out":"error","result":"the result is not JSON: json: unsupported value: NaN"}`,
		string(NewReply("k", math.NaN()).Append(nil)))
	assert.Equal(t, `{"out":"error","result":"the result is not JSON: json: unsupported type: chan int"}`,
		string(NewReply("k", make(chan int)).Append(nil)))
}

func TestErrorReply(t *testing.T) {
	assert.Equal(t, `{"out":"error","result":"a <\"b\"> & π\n"}`,
		string(ErrorReply(errors.New("a <\"b\"> & π\n")).Append(nil)))

	body := ErrorReply(errors.New("cut \xe4\xb8 here")).Append(nil)
	assert.True(t, json.Valid(body), "%s", body)
	assert.NotContains(t, string(body), "\xe4", "a reply is UTF-8 even when the error isn't")
}

// A reply that no client would accept becomes an error reply; the longest that
// one accepts, and the echo of the longest request, do not.
func TestAppendReply(t *testing.T) {
	quoted := func(length int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", length-2) + `"`) }
	const before = "before"
	body := func(r Reply) string {
		frame := AppendReply([]byte(before), r)
		require.Equal(t, before, string(frame[:len(before)]))
		body := frame[len(before)+HeaderSize:]
		require.Equal(t, AppendFrame([]byte(before), body), frame)
		return string(body)
	}

	envelope := len(Reply{Kind: "pong"}.Append(nil))
	for _, length := range []int{envelope + 2, MaxReply - 1, MaxReply} {
		assert.Len(t, body(Reply{"pong", quoted(length - envelope)}), length)
	}
	for _, length := range []int{MaxReply + 1, 3 * MaxReply} {
		want := fmt.Sprintf(`{"out":"error","result":"the reply would be %d bytes, over the limit of %d"}`,
			length, MaxReply)
		assert.Equal(t, want, body(Reply{"pong", quoted(length - envelope)}))
	}

	params := quoted(MaxRequest - len(Request{Method: "ping"}.Append(nil)))
	request := Request{Method: "ping", Params: params}.Append(nil)
	require.Len(t, request, MaxRequest)
	assert.Equal(t, `{"out":"pong","result":`+string(params)+`}`, body(NewService().Answer(request)))
}
