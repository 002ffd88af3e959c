// PROTOCOL.md shows bytes: they must be those that the programs exchange.

package rpc

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

func TestProtocolExamples(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	dump := regexp.MustCompile(`(?m)^(sent|received) (\d+) bytes\n((?:[0-9a-f]{8}  .*\n)+)`)
	dumps := dump.FindAllStringSubmatch(string(text), -1)
	require.Len(t, dumps, 4)

	var expected string // the reply to the request before
	for _, dump := range dumps {
		frame := undump(t, dump[3])
		assert.Equal(t, dump[3], hex.Dump(frame))
		assert.Equal(t, dump[2], strconv.Itoa(len(frame)))
		decoder := NewDecoder(MaxReply)
		decoder.Feed(frame)
		body, ok := decoder.Next()
		require.True(t, ok)
		assert.Equal(t, len(frame), HeaderSize+len(body))

		if dump[1] == "sent" {
			expected = string(NewService().Answer(body).Append(nil))
		} else {
			assert.Equal(t, expected, string(body))
			expected = ""
		}
	}
	assert.Empty(t, expected, "a request without its reply")
}

// Every number in the text is that of the program, or of the specifications,
// and stands in one place.
func TestProtocolNumbers(t *testing.T) {
	flags := flag.NewFlagSet("", flag.PanicOnError)
	NewServerFlags(flags)
	NewZKFlags(flags)
	NewRoundsFlags(flags)
	byDefault := func(name string) time.Duration {
		d, err := time.ParseDuration(flags.Lookup(name).DefValue)
		require.NoError(t, err, name)
		return d
	}
	seconds := func(d time.Duration) string { return fmt.Sprint(d.Seconds()) }

	assert.Equal(t, MaxRequest, spec1Limit)
	assert.Equal(t, harness.DefaultGrace, byDefault("grace"))
	assert.Equal(t, harness.DefaultSession, byDefault("session"))
	assert.Equal(t, harness.DefaultTimeout, byDefault("timeout"))
	assert.Equal(t, MaxPiTerms+1, firstRefused(t))
	assert.Less(t, harness.EveryonesPi, MaxPiTerms)

	text := protocolText(t)
	for _, phrase := range []string{
		"as an unsigned 32-bit little-endian number",
		"two writes make each call take 44 ms or more",
		"| request | " + grouped(MaxRequest) + " |",
		"| reply | " + grouped(MaxReply) + " (" + grouped(MaxReply-MaxRequest) + " more:",
		"Write it in UTF-8.", "what is not UTF-8 as well",
		"a whole number from 0 to " + grouped(MaxPiTerms) + ",",
		"but up to " + grouped(harness.EveryonesPi) + " all do",
		"sqrt(8 s) as the shortest", "for i = 0, 1, … n", "in IEEE 754 doubles", "n = 93 is",
		fmt.Sprintf("at most %d MiB+, before it closes", lingerBytes>>20),
		"or after " + seconds(lingerTime) + " s+; while the client goes on taking what is left of the replies, " +
			"after " + seconds(maxLinger) + " s+",
		fmt.Sprintf("after %.0f minutes* in which the client makes no request", byDefault("idle-timeout").Minutes()),
		"has not come in whole after " + seconds(byDefault("frame-timeout")) + " s*",
		"makes no progress for " + seconds(silence) + " s* is suspect",
		"when there has been none for " + seconds(quietPeriod) + " s+",
		fmt.Sprintf("goes on serving for %d ms* so that clients notice", noticeTime.Milliseconds()),
		"from 1 to 65535",

		"when told to end | " + seconds(harness.DefaultGrace) + " |",
		"of servers and clients | " + seconds(harness.DefaultSession) + " |",
		"when there is none | 0 |",
		"to another server | " + seconds(harness.DefaultTimeout) + " |",
		"accepts connections within 20 seconds", "within a second if it has lived for 10,",
		"may be 0, and the kernel chooses",
		"In round i, from 0 on,",
		"Its exit code is 0 after a stop, and 2 when it can't do",
		"The exit code is 0.", "its exit code is 1.",
		"where the calls are numbered from 0; then the exit code is 1.",
	} {
		assert.Equal(t, 1, strings.Count(text, phrase), "how often PROTOCOL.md says: %s", phrase)
		text = strings.Replace(text, phrase, "…", 1)
	}

	chapters := regexp.MustCompile(`[Cc]hapters? (are )?[1-6]( (and|to) [1-6])?|\| [1-6] \|`)
	text = chapters.ReplaceAllString(text, "")
	assert.Empty(t, regexp.MustCompile(`.{0,40}[0-9].{0,20}`).FindAllString(text, -1), "numbers that nothing holds")
}

// protocolText returns PROTOCOL.md on one line, without what is code: dumps,
// examples, names.
func protocolText(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	code := regexp.MustCompile("(?ms)^ *```.*?^ *```$|`[^`\n]*`")
	return strings.Join(strings.Fields(code.ReplaceAllString(string(content), "")), " ")
}

// firstRefused returns the smallest n that milestone 1.11 wants refused.
func firstRefused(t *testing.T) (n int) {
	t.Helper()
	for _, body := range spec1Bad {
		var request struct {
			Method string `json:"in"`
			Params int    `json:"params"`
		}
		if json.Unmarshal([]byte(body), &request) == nil && request.Method == "pi" && request.Params > 0 {
			n = request.Params
			break
		}
	}
	return n
}

// grouped writes a number as texts do: 1,048,576.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// undump reads what hex.Dump has written.
func undump(t *testing.T, dump string) (bytes []byte) {
	t.Helper()
	for line := range strings.Lines(dump) {
		pairs, _, _ := strings.Cut(line[8:], "|")
		part, err := hex.DecodeString(strings.ReplaceAll(pairs, " ", ""))
		require.NoError(t, err)
		bytes = append(bytes, part...)
	}
	return bytes
}
