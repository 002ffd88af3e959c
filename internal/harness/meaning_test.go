// Tests of comparing JSON by its meaning.

package harness

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSameJSON(t *testing.T) {
	for _, same := range [][2]string{
		{`1`, `1.0`}, {`100`, `1e2`}, {`[1,2]`, "[ 1,\n2 ]"}, {`{"a":1,"b":2}`, `{"b": 2, "a": 1}`},
		{`"ü"`, `"\u00fc"`}, {`null`, ` null`}, {`{"a":{"b":[]}}`, `{"a": {"b": []}}`}, {`0.1000`, `0.1`},
		{strings.Repeat("1", 500), strings.Repeat("1", 500)},
	} {
		assert.True(t, sameJSON(same[0], same[1]), "%s and %s", same[0], same[1])
	}
	for _, other := range [][2]string{
		{`1`, `"1"`}, {`1`, `true`}, {`9007199254740992`, `9007199254740993`}, {`[1,2]`, `[2,1]`}, {`[1]`, `[1,1]`},
		{`{"a":1}`, `{"a":1,"b":1}`}, {`{"a":1}`, `{"b":1}`}, {`null`, `0`}, {`""`, `null`}, {`{`, `{`}, {`[]`, `{}`},
	} {
		assert.False(t, sameJSON(other[0], other[1]), "%s and %s", other[0], other[1])
	}
}
