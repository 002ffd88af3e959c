// Tests of the service: what ping and pi answer, how exactly, and what they
// say when they can't.

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

// answer returns the service's reply to a request body, as on the wire.
func answer(body string) string {
	return string(NewService().Answer([]byte(body)).Append(nil))
}

func TestPingEchoesByteForByte(t *testing.T) {
	for name, params := range untouched {
		assert.Equal(t, `{"out":"pong","result":`+params+`}`, answer(`{"in":"ping","params":`+params+`}`), name)
	}
	assert.Equal(t, `{"out":"pong","result":"ireader 93"}`, answer(` { "params" : "ireader 93" , "in" : "ping" } `))
}

func TestLongestPing(t *testing.T) {
	const envelope = `{"in":"ping","params":""}`
	text := strings.Repeat("a", MaxRequest-len(envelope))
	body := strings.Replace(envelope, `""`, `"`+text+`"`, 1)
	require.Len(t, body, MaxRequest)
	reply := answer(body)
	assert.True(t, reply == `{"out":"pong","result":"`+text+`"}`, "the echo is not what was sent")
	assert.Greater(t, len(reply), MaxRequest, "the echo is longer than its request")
	assert.LessOrEqual(t, len(reply), MaxReply, "but not longer than a client accepts")
}

// What the tutorial's server, in Python, answers: as printed with 12 digits,
// and in full.
var tutorialPi = []struct {
	n       int
	printed string
	exact   float64
}{
	{0, "2.82842712475", 2.8284271247461903},
	{1, "2.98142397", 2.9814239699997196},
	{2, "3.0346151138", 3.0346151137976114},
	{93, "3.1382045832", 3.1382045831970156},
	{94, "3.13824026548", 3.1382402654823403},
	{95, "3.13827520401", 3.138275204013979},
	{96, "3.13830942181", 3.138309421805842},
	{97, "3.13834294093", 3.138342940932047},
	{98, "3.13837578257", 3.138375782574414},
	{99, "3.13840796707", 3.1384079670670912},
	{1000, "3.14127464563", 3.1412746456267633},
	{1_000_000, "3.14159233528", 3.141592335280288},
}

func TestPiIsTheTutorials(t *testing.T) {
	for _, c := range tutorialPi {
		assert.Equal(t, math.Float64bits(c.exact), math.Float64bits(PiSum(c.n)),
			"n = %d: %v is not %v", c.n, PiSum(c.n), c.exact)
		assert.Equal(t, c.printed, fmt.Sprintf("%.12g", PiSum(c.n)), "n = %d", c.n)
	}
	assert.Equal(t, math.Sqrt(8), PiSum(0), "one term")
	assert.Equal(t, `{"out":"pi_r","result":3.1382045831970156}`, answer(`{"in":"pi","params":93}`))
	assert.Equal(t, `{"out":"pi_r","result":2.8284271247461903}`, answer(`{"in":"pi","params":0}`))
}

func TestPiHasTheBitsOfTheDocumentedSum(t *testing.T) {
	sum := 0.0
	for i := range 3000 {
		sum += 1.0 / float64(2*i+1) / float64(2*i+1)
		want := math.Sqrt(sum * 8)
		require.Equal(t, math.Float64bits(want), math.Float64bits(PiSum(i)), "n = %d", i)
	}
}

func TestPiConvergesFromBelow(t *testing.T) {
	before := 0.0
	for n := range 3000 {
		pi := PiSum(n)
		require.Greater(t, pi, before, "n = %d", n)
		require.Less(t, pi, math.Pi, "n = %d", n)
		before = pi
	}
}

func TestPiErrorIsOneOverPiTimesTheNumberOfTerms(t *testing.T) {
	// The sum lacks 1/(4(n+1)) of its limit π²/8, but for terms of order
	// 1/(n+1)³. So, by the root's series, error × π(n+1) = 1 + 1/(2π²(n+1)) +
	// …, where 1/2π² = 0.051. To this comes the rounding of n additions, here
	// below 10^-12, times π(n+1).
	for n := 10; n <= 1_000_000; n *= 10 {
		terms := float64(n + 1)
		ratio := (math.Pi - PiSum(n)) * math.Pi * terms
		assert.InDelta(t, 1, ratio, 0.052/terms+1e-12*math.Pi*terms, "n = %d", n)
	}
}

func TestPiParams(t *testing.T) {
	for _, params := range []string{"-1", "-100000000", "1.5", "93.0", "1e2", "0.1", "1e-1", "1e400", "true", "false",
		`"5"`, `""`, "null", "[1]", "[]", "{}",
		`{"n":1}`, "100000001", "9223372036854775807", "9223372036854775808", "18446744073709551616"} {
		want := fmt.Sprintf("pi: params must be a whole number from 0 to 100000000, not %s", params)
		assert.Equal(t, string(NewReply("error", want).Append(nil)), answer(`{"in":"pi","params":`+params+`}`), params)
	}
	for params, want := range map[string]int{"0": 0, "1": 1, "93": 93, "100000000": MaxPiTerms} {
		n, err := PiTerms(json.RawMessage(params))
		require.NoError(t, err, params)
		assert.Equal(t, want, n)
	}
}

func TestErrorsQuoteOnlyTheStartOfWhatWasSent(t *testing.T) {
	for _, body := range []string{
		`{"in":"pi","params":1` + strings.Repeat("0", 400) + `}`,
		`{"in":"pi","params":"` + strings.Repeat("π", 100_000) + `"}`,
		`{"in":"` + strings.Repeat("x", 100_000) + `","params":1}`,
		`{"in":"` + strings.Repeat("世", 100_000) + `","params":1}`,
		strings.Repeat("x", 100_000),
	} {
		reply := answer(body)
		assert.Contains(t, reply, `{"out":"error","result":"`)
		assert.True(t, json.Valid([]byte(reply)), reply)
		assert.Less(t, len(reply), 400, "to %.30s…", body)
	}

	start := strings.Repeat("9", 60)
	for params, quoted := range map[string]string{start: start, start + "9": start + "…"} {
		want := "pi: params must be a whole number from 0 to 100000000, not " + quoted
		assert.Equal(t, string(NewReply("error", want).Append(nil)), answer(`{"in":"pi","params":`+params+`}`))
	}
}

func TestAnswerSaysWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		`{"in":"ping"}`:              `ping: "params" is missing`,
		`{"in":"pi"}`:                `pi: "params" is missing`,
		`{"in":"pong","params":1}`:   `unknown method "pong"`,
		`{"in":"Ping","params":1}`:   `unknown method "Ping"`,
		`{"in":"ping ","params":1}`:  `unknown method "ping "`,
		`{"in":"<b>\"","params":1}`:  `unknown method "<b>\""`,
		`{"in":"unknown"}`:           `unknown method "unknown"`,
		`{}`:                         `bad request: "in" must name a method`,
		`{"in":5,"params":1}`:        `bad request: "in" must be a string, not a JSON number`,
		`null`:                       `bad request: not a JSON object`,
		`[]`:                         `bad request: not a JSON object`,
		`{"in":"pi","params":"\n<"}`: `pi: params must be a whole number from 0 to 100000000, not "\n<"`,
	} {
		assert.Equal(t, string(NewReply("error", want).Append(nil)), answer(body), body)
	}
	for name, body := range notJSON {
		assert.Contains(t, answer(body), `{"out":"error","result":"bad request: not JSON: `, name)
	}
}

func TestMethodsOfAService(t *testing.T) {
	var got json.RawMessage
	service := Service{
		"good": func(params json.RawMessage) (Reply, error) { got = params; return NewReply("fine", 1), nil },
		"bad":  func(json.RawMessage) (Reply, error) { return Reply{}, errors.New("no luck") },
	}
	assert.Equal(t, NewReply("fine", 1), service.Answer([]byte(`{"in":"good","params":{"a":[ 1 ]}}`)))
	assert.Equal(t, `{"a":[ 1 ]}`, string(got))
	assert.Equal(t, NewReply("error", "bad: no luck"), service.Answer([]byte(`{"in":"bad","params":1}`)))
}

func TestIdempotent(t *testing.T) {
	for method := range NewService() {
		assert.True(t, Idempotent(method), method)
	}
	assert.False(t, Idempotent("transfer"), "nobody has said so")
}
