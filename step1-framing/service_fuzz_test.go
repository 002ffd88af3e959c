// Fuzzing of the service: any body at all has exactly one answer, and the right
// one. What is right is read off the protocol once more here, with a JSON
// parser of its own, so that a mistake in one place shows.

package main

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzAnswer: a request that the protocol allows is answered as it says, and
// any other with an error.
func FuzzAnswer(f *testing.F) {
	for _, params := range untouched {
		f.Add([]byte(`{"in":"ping","params":` + params + `}`))
	}
	for name, body := range notJSON {
		if name != "nested without end" { // long inputs make the fuzzer slow
			f.Add([]byte(body))
		}
	}
	for _, body := range notObjects {
		f.Add([]byte(body))
	}
	for _, body := range []string{
		`{"in":"pi","params":93}`, ` { "params" : 0 , "in" : "pi" } `, `{"in":"pi","params":-0}`,
		`{"in":"pi","params":-1}`, `{"in":"pi","params":1e2}`,
		`{"in":"pi","params":100000000}`, `{"in":"pi","params":100000001}`, `{"in":"pi","params":"5"}`,
		`{"in":"pi","params":null}`,
		`{"in":"ping"}`, `{"params":1}`, `{}`, `{"in":"","params":1}`, `{"in":null,"params":1}`, `{"in":{},"params":1}`,
		`{"in":"pong","params":1}`,
		`{"i\u006e":"p\u0069","params":7}`, `{"in":"ping","params":1,"in":"pi","params":2}`,
		`{"in":"ping","params":1,"in":null}`,
		`{"IN":"ping","Params":1}`, `{"id":[{"in":"pi"}],"in":"ping","params":{"params":1}}`,
		`{"in":"\ud83d\ude00\ud83d","params":"\u00e9\n\\\/"}`,
	} {
		f.Add([]byte(body))
	}

	service := NewService()
	service["pi"] = func(params json.RawMessage) (Reply, error) {
		n, err := PiTerms(params)
		return NewReply("pi_r", PiSum(min(n, 100))), err // to compute for long would find nothing more
	}

	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > MaxRequest {
			return // no server gets to see it
		}
		given := string(body)
		answered := service.Answer(body)
		assert.Equal(t, given, string(body), "the body is only read")
		reply := string(answered.Append(nil))
		assert.LessOrEqual(t, len(reply), MaxReply)

		members, ok := parseMembers(reply)
		require.True(t, ok, "the reply is a JSON object: %s", reply)
		require.Len(t, members, 2, reply)
		require.Equal(t, [2]string{"out", "result"}, [2]string{members[0].key, members[1].key})
		require.True(t, json.Valid([]byte(reply)), reply)
		parsed, err := ParseReply([]byte(reply))
		require.NoError(t, err)
		assert.Equal(t, answered, parsed, "what the client reads")

		want, good := rightAnswer(given)
		if good {
			assert.Equal(t, want, reply)
			return
		}

		require.Equal(t, `"error"`, members[0].value, "to a bad request: %s", reply)
		var text string
		require.NoError(t, json.Unmarshal([]byte(members[1].value), &text))
		assert.NotEmpty(t, text)
		assert.True(t, utf8.ValidString(reply), "%q", reply)
	})
}

// rightAnswer is what PROTOCOL.md says about a request, and about what it
// leaves open this: keys may differ in case, of several the last one counts,
// and a method null is none at all.
func rightAnswer(body string) (reply string, good bool) {
	members, ok := parseMembers(body)
	method, params := "", ""
	for _, m := range members {
		switch {
		case strings.EqualFold(m.key, "params"):
			params = m.value
		case !strings.EqualFold(m.key, "in") || m.value == "null":
		case m.value[0] != '"':
			ok = false
		default:
			method = unquote(m.value)
		}
	}

	switch {
	case !ok || params == "":
		return "", false
	case method == "ping":
		return `{"out":"pong","result":` + params + `}`, true
	case method == "pi" && whole.MatchString(params):
		n, err := strconv.Atoi(params)
		result, _ := json.Marshal(PiSum(min(max(n, 0), 100)))
		return `{"out":"pi_r","result":` + string(result) + `}`, err == nil && 0 <= n && n <= 100_000_000
	}
	return "", false
}

// A member of a JSON object.
type member struct {
	key   string // what it says
	value string // as it stands there
}

// The grammar of JSON, RFC 8259. What nests is not regular, so these are the
// leaves; a string may have bytes that are not UTF-8.
var (
	space  = regexp.MustCompile(`^[ \t\r\n]*`)
	scalar = regexp.MustCompile(`^(?:null|true|false|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)`)
	whole  = regexp.MustCompile(`^-?[0-9]+$`)
	letter = regexp.MustCompile(`\\u[0-9a-fA-F]{4}`)
)

// parseMembers returns the members of the object that the text is, in their
// order, and whether it is one.
func parseMembers(text string) (members []member, ok bool) {
	text = skip(text)
	if !strings.HasPrefix(text, "{") {
		return nil, false
	}
	rest, ok := parseValue(text, 1, func(key, value string) { members = append(members, member{unquote(key), value}) })
	return members, ok && skip(rest) == ""
}

func skip(text string) string { return text[len(space.FindString(text)):] }

// parseValue takes one JSON value off the text; each member of an object goes
// to found.
func parseValue(text string, depth int, found func(key, value string)) (rest string, ok bool) {
	switch {
	case text == "" || depth > 10_000: // Go's own limit
		return "", false
	case text[0] == '"':
		return parseString(text)
	case text[0] != '{' && text[0] != '[':
		match := scalar.FindString(text)
		return text[len(match):], match != ""
	}

	object, end := text[0] == '{', string(text[0]+2) // ] and } come two behind [ and {
	text = skip(text[1:])
	if rest, ok := strings.CutPrefix(text, end); ok {
		return rest, true
	}

	for {
		key := text
		if object {
			text, ok = parseString(text)
			if !ok {
				return "", false
			}
			key = key[:len(key)-len(text)]
			text, ok = strings.CutPrefix(skip(text), ":")
			if !ok {
				return "", false
			}
			text = skip(text)
		}

		value := text
		text, ok = parseValue(text, depth+1, func(string, string) {})
		if !ok {
			return "", false
		}
		if object {
			found(key, value[:len(value)-len(text)])
		}

		text = skip(text)
		if rest, ok := strings.CutPrefix(text, end); ok {
			return rest, true
		}
		text, ok = strings.CutPrefix(text, ",")
		if !ok {
			return "", false
		}
		text = skip(text)
	}
}

// parseString takes one JSON string off the text.
func parseString(text string) (rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", false
	}

	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return text[i+1:], true
		case c < ' ':
			return "", false
		case c == '\\' && i+1 < len(text) && strings.IndexByte(`"\/bfnrt`, text[i+1]) >= 0:
			i++
		case c == '\\':
			if i+5 >= len(text) || text[i+1] != 'u' || strings.Trim(text[i+2:i+6], "0123456789abcdefABCDEF") != "" {
				return "", false
			}
			i += 5
		}
	}

	return "", false
}

// unquote returns what a JSON string says, where it matters here: names have
// no escapes but those of letters.
func unquote(quoted string) string {
	return letter.ReplaceAllStringFunc(quoted[1:len(quoted)-1], func(escape string) string {
		code, _ := strconv.ParseUint(escape[2:], 16, 32)
		return string(rune(code))
	})
}
