// Tests of the reader of shell commands.

package book

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShellCommands(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"", ""},
		{"ls", "ls"},
		{"ls -l 'a b' \"c d\" e\\ f # g", "ls|-l|a b|c d|e f"},
		{"a; b && c || d | e & f", "a b c d e f"},
		{"a\nb \\\n  c\n\n# d\ne", "a b|c e"},
		{"A=1 B=2 c d; E=3", "c|d"},
		{"for i in $(seq 3); do a $i & done; wait", "( seq|3 ) a|$~ wait"},
		{"until grep -q x log; do sleep 0.1; done", "grep|-q|x|log sleep|0.1"},
		{"if a; then b; elif c; then d; else e; fi", "a b c d e"},
		{"{ time a; ! b; }; (c; d)", "a b ( c d )"},
		{"a $(b $(c) 'd') `e` \"$(f)\"", "( ( c ) b|~|d ) ( e ) ( f ) a|~|~|~"},
		{"A=$(b c)", "( b|c )"},
		{"a $((1 + 2)) ${x%/*} $!", "a|~|$~|$~"},
		{"a > b 2>&1 < c >> d", "a>b>d"},
		{"a 3<>/dev/tcp/h/1 4>&- &> e", "a>e"},
		{"exec {fd}<>/dev/x", "exec"},
		{"a <(b c) d", "( b|c ) a|~|d"},
		{"a <<< \"$b\" c", "a|c"},
		{"cat > f <<'EOF'\na $(b\nEOF\nc", "cat>f c"},
		{"a=(b $c); a+=($(d)); e; f", "( d ) e f"},
		{"a *.go 'x*' ~/b \"~\"", "a|*.go~|x*|~/b~|~"},
		{"echo '{\"in\":\"ping\"}' | b", "echo|{\"in\":\"ping\"} b"},
		{"a 2181 b", "a|2181|b"},
	} {
		commands, err := shellCommands(c.script)
		require.NoError(t, err, c.script)

		var got []string
		for _, s := range commands {
			var words []string
			for _, w := range s.words {
				if w.varies {
					w.text += "~"
				}
				words = append(words, w.text)
			}

			got = append(got, strings.Join(append([]string{strings.Join(words, "|")}, s.writes...), ">"))
		}
		assert.Equal(t, c.want, strings.Join(got, " "), c.script)
	}

	for script, want := range map[string]string{
		"a 'b": "1:3: reached EOF without closing quote `'`", "a\nb \"c": "2:3: reached EOF without closing quote `\"`",
		"a $(b": "1:3: reached EOF", "a ${b": "1:3: reached EOF", "a `b": "1:3: reached EOF", "do a": "1:1: `do` can " +
			"only be used in a loop",
	} {
		_, err := shellCommands(script)
		assert.ErrorContains(t, err, want, script)
	}

	commands, err := shellCommands("a\nb \\\n c\nd")
	require.NoError(t, err)
	assert.Equal(t, []int{0, 1, 3}, []int{commands[0].line, commands[1].line, commands[2].line})
}
