// What replies mean and how bytes are shown: JSON is compared as values, and a
// wrong prefix is pointed at.

package harness

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// sameJSON tells whether two texts are the same JSON value: white space, the
// order of keys, escapes and the writing of numbers don't matter. (Of a key
// that comes twice, the last one counts.)
func sameJSON(a, b string) bool {
	va, errA := decodeJSON(a)
	vb, errB := decodeJSON(b)
	return errA == nil && errB == nil && sameValue(va, vb)
}

func decodeJSON(text string) (value any, err error) {
	in := json.NewDecoder(strings.NewReader(text))
	in.UseNumber() // a float64 would hold 2^53 and 2^53+1 for the same
	err = in.Decode(&value)
	return value, err
}

func sameValue(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(string(a), string(b))
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}

		for i := range a {
			if !sameValue(a[i], b[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}

		for key := range a {
			if other, ok := b[key]; !ok || !sameValue(a[key], other) {
				return false
			}
		}
		return true
	}

	return a == b
}

func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	if len(a) > 400 || len(b) > 400 || len(a) > 0 && strings.ContainsAny(a+b, "eE") {
		// An exponent may be huge: as near as a float64 can tell.
		fa, errA := json.Number(a).Float64()
		fb, errB := json.Number(b).Float64()
		return errA == nil && errB == nil && fa == fb
	}
	ra, okA := new(big.Rat).SetString(a)
	rb, okB := new(big.Rat).SetString(b)
	return okA && okB && ra.Cmp(rb) == 0
}

// pointAtLength shows the first bytes of a reply with a caret under the four
// of its length, and what they say.
func pointAtLength(b []byte) string {
	b = b[:min(len(b), 20)]
	shown := fmt.Sprintf("% x", b)
	if text := bytes.Map(printable, b[min(4, len(b)):]); len(text) > 0 {
		shown += "  " + string(text)
	}

	if len(b) < 4 {
		return shown + "\n" + strings.Repeat("^", max(1, 3*len(b)-1)) + " the length takes four bytes"
	}

	little, big := binary.LittleEndian.Uint32(b), binary.BigEndian.Uint32(b)
	note := fmt.Sprintf(" announces %d bytes", little)
	if big < little && big <= maxReply {
		note += fmt.Sprintf("; read as big-endian, %d", big)
	}

	return shown + "\n^^^^^^^^^^^" + note
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '.'
	}
	return r
}
