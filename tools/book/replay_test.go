// Tests of how outputs are compared.

package book

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCompareOutputs(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"", "", true},
		{"a 1", "a 23", true},
		{"  PID STAT\n   12 S  ", "PID STAT\n12345 S", true},
		{"a 1.5 s", "a 20.25 s", true},
		{"a\n…\nd", "a\nb\nc\nd", true},
		{"a\n…\nd", "a\nd", true},
		{"…", "", true},
		{"…\nb\n…", "a\nb\nb", true},
		{"[1] 4711\na", "a", true},
		{"a", "a\nscript: line 3: 4711 Killed                  bin/x > log 2>&1", true},
		{"a", "a\n/tmp/my files/script: line 3: 4711 Killed                  bin/x", true},
		{"[1]-  Done                    sleep 1", "", true},

		{"a", "b", false},
		{"a", "", false},
		{"", "a", false},
		{"a b", "ab", false},
		{"a", "a\na", false},
		{"a\n…\nd", "a\nb\nc", false},
		{"a 1", "a", false},
		{"a 1", "a -1", false},
		{"a … b", "a c b", false},
		{"", "[1] job", false},
		{"", "x: line 1: y: command not found", false},
	} {
		wrong := step{command: "run", want: splitLines(c.want)}.compare(c.got)
		assert.Equal(t, c.same, wrong == "", "want %q\ngot %q", c.want, c.got)
		if !c.same {
			assert.True(t, strings.HasPrefix(wrong, "`run` doesn't print"))
		}
	}
}
