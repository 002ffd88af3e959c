// Details: what a frame holds, byte for byte and as JSON.

package runpicture

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// MaxData is how many bytes of a frame an event keeps.
const MaxData = 160

// shownBytes is how many of them are shown in hexadecimal.
const shownBytes = 48

// brief returns what stands beside the lanes: of whole frames the body of the
// first one, as JSON is easier to read than its bytes.
func (e Event) brief() string {
	body, whole := e.body()
	if e.Kind != Frame || e.Lane.Place != AtConn || !whole {
		return e.line()
	}
	return fmt.Sprintf("%v: %s", e.Lane, body)
}

// body returns what follows the length in the kept bytes of a frame; whole is
// false if they don't begin with a frame's length and JSON.
func (e Event) body() (body string, whole bool) {
	if len(e.Data) < 6 || e.Data[4] != '{' {
		return "", false
	}
	length := int64(binary.LittleEndian.Uint32(e.Data))
	body = strings.ToValidUTF8(string(e.Data[4:min(int64(len(e.Data)), 4+length)]), "·")
	switch {
	case length < int64(len(e.Data)-4):
		body += " and more"
	case length > int64(len(e.Data)-4):
		body += "…"
	}
	return body, true
}

// detail returns what is shown of a row when somebody points at it; "" for
// nothing more than its text.
func (e Event) detail() string {
	if len(e.Data) == 0 {
		if full := e.line(); strings.Contains(full, "\n") || len(full) > 70 {
			return full
		}
		return ""
	}

	dump := strings.TrimRight(hex.Dump(e.Data[:min(len(e.Data), shownBytes)]), "\n")
	if len(e.Data) > shownBytes {
		dump += "\n…"
	}
	if body, ok := e.body(); ok {
		dump += "\n\n" + body
	}
	return dump
}
