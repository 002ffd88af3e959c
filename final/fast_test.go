// The fast path is right if nobody can tell it from encoding/json, on any
// input: what it takes apart, parseObject takes apart into the same.

package rpc

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// usual are messages that the fast path is there for.
var usual = []string{
	`{"in":"ping","params":"hello"}`,
	`{"in": "ping", "params": "ireader 0"}`,
	`{"in":"pi","params":93}`,
	`{"in":"p","params":null}`,
	`{"in":"a method of my own","params":{"a":[1,2.5e-3,true],"b":{}}}`,
	`{"in":"ping","params":"é\u00e9\n<&>"}`,
	`{"out":"pong","result":"hello"}`,
	`{"out":"pi_r","result":3.1382045832}`,
	`{"out": "error", "result": "unknown method \"x\""}`,
}

// unusual are messages that it must leave to encoding/json, or that are wrong.
var unusual = []string{
	``, `{`, `{}`, `null`, `{"in":`, `{"in":"`, `{"in":""`, `{"in":"p"`, `{"in":"p",`, `{"in":"p","params":`,
	`{"in":"p","params":}`, `{"in":"p","params":1`,
	`{"in":"","params":1}`, `{"in":null,"params":1}`, `{"in":1,"params":1}`, `{"params":1,"in":"p"}`,
	`{"in":"p","params":1,"in":"q"}`, `{"in":"p","params":1}}`,
	`{"in":"p","params":1} `, ` {"in":"p","params":1}`, `{"in":"p","params":1 }`, `{"in":"p","params":  1}`,
	`{"in":"p","params":1,"x":2}`, `{"in":"p","params":1}{}`,
	`{"in":"p","params":"a"b"}`, `{"in":"p","params":"a\"}`, `{"in":"p","params":'a'}`, `{"in":"p","params":01}`,
	`{"in":"p","params":NaN}`, `{"in":"p","params":"a` + "\n" + `"}`,
	`{"in":"p\u0069","params":1}`, `{"in":"\\","params":1}`, `{"in":"é","params":1}`, "{\"in\":\"\xff\",\"params\":1}",
	"{\"in\":\"p\",\"params\":\"\xff\"}", "{\"in\":\"p\x00\",\"params\":1}",
	`{"IN":"p","params":1}`, `{"in":"p","Params":1}`, `{"in" : "p", "params" : 1}`, `{"in":"p" ,"params":1}`,
	`{"in":"p","params":"x",}`, `{"in":"p","params":"x"]`, `{"in":"p","params":[}`,
	`{"out":"p","params":1}`, `{"in":"p","result":1}`, `{"in":"p":"params":1}`, `{"in":"p","params":1,"params":2}`,
	`{"in":"p","params":{}{}}`, `{"in":"p","params":1e}`,
}

// nested is a value inside so many arrays.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestFastPathTakesTheUsualForm(t *testing.T) {
	for _, body := range usual {
		_, _, request := cutMessage([]byte(body), `{"in":`, `"params":`)
		_, _, reply := cutMessage([]byte(body), `{"out":`, `"result":`)
		assert.True(t, request != reply, body)
		checkMessage(t, body)
	}
}

func TestFastPathIsRightAboutTheUnusual(t *testing.T) {
	for _, body := range unusual {
		checkMessage(t, body)
	}
	for _, depth := range []int{1, 4999, 5000, 9998, 9999, 10_000, 10_001} { // encoding/json allows 10,000
		checkMessage(t, `{"in":"ping","params":`+nested(depth)+`}`)
	}
	checkMessage(t, `{"in":"ping","params":"`+strings.Repeat("x", 20_000)+`"}`)
}

// FuzzFastPath: any body is read as encoding/json reads it, and any name
// written as encoding/json writes it.
func FuzzFastPath(f *testing.F) {
	for _, body := range append(usual, unusual...) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		checkMessage(t, string(body))
	})
}

// checkMessage compares the two ways to read a body, and to write it as a name.
func checkMessage(t *testing.T, body string) {
	t.Helper()
	var request Request
	if method, params, ok := cutMessage([]byte(body), `{"in":`, `"params":`); ok {
		require.NoError(t, parseObject([]byte(body), &request), "%.100q", body)
		require.Equal(t, request, Request{method, params}, "%.100q", body)
		require.NotEmpty(t, method)
		require.NotEmpty(t, params)
	}

	var reply Reply
	if kind, result, ok := cutMessage([]byte(body), `{"out":`, `"result":`); ok {
		require.NoError(t, parseObject([]byte(body), &reply), "%.100q", body)
		require.Equal(t, reply, Reply{kind, result}, "%.100q", body)
		require.NotEmpty(t, kind)
		require.NotEmpty(t, result)
	}

	var slow strings.Builder
	encoder := json.NewEncoder(&slow)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(body))
	require.Equal(t, strings.TrimSuffix(slow.String(), "\n"), string(appendName(nil, body)))
}
