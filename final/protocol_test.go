// PROTOCOL.md shows bytes: they must be those that the programs exchange.

package rpc

import (
	"encoding/hex"
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
	dumps := regexp.MustCompile(`(?m)^(sent|received) (\d+) bytes\n((?:[0-9a-f]{8}  .*\n)+)`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, dumps, 4)
	var expected string // the reply to the request before
	for _, dump := range dumps {
		frame := undump(t, dump[3])
		assert.Equal(t, dump[3], hex.Dump(frame))
		assert.Equal(t, dump[2], strconv.Itoa(len(frame)))
		for body, err := range NewDecoder(MaxReply).Frames(frame) {
			require.NoError(t, err)
			assert.Equal(t, len(frame), HeaderSize+len(body))
			if dump[1] == "sent" {
				expected = string(NewService().Answer(body).Append(nil))
			} else {
				assert.Equal(t, expected, string(body))
				expected = ""
			}
		}
	}
	assert.Empty(t, expected, "a request without its reply")
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
