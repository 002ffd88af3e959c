// PROTOCOL.md shows bytes: they must be those that the programs exchange.

package rpc

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// The numbers of the text are those of the program.
func TestProtocolNumbers(t *testing.T) {
	content, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	text := strings.Join(strings.Fields(string(content)), " ")
	for _, phrase := range []string{
		"| request | " + grouped(MaxRequest) + " |",
		"| reply | " + grouped(MaxReply) + " (" + grouped(MaxReply-MaxRequest) + " more:",
		"a whole number from 0 to " + grouped(MaxPiTerms) + "*,",
		fmt.Sprintf("at most %d MiB*, before it closes", lingerBytes>>20),
		fmt.Sprintf("or after %.0f s*; while the client goes on taking what is left of the replies, after %.0f s*",
			lingerTime.Seconds(), maxLinger.Seconds()),
		fmt.Sprintf("goes on serving for %d ms* so that clients notice", noticeTime.Milliseconds()),
	} {
		assert.True(t, strings.Contains(text, phrase), "PROTOCOL.md doesn't say: %s", phrase)
	}
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
