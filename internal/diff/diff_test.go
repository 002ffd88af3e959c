// Tests of differences.

package diff

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnified(t *testing.T) {
	many := strings.Repeat("same\n", 20)
	for _, c := range []struct{ name, from, to, want string }{
		{"nothing", "a\n", "a\n", ""},
		{"a line more", "", "a\n", "@@ -0,0 +1 @@\n+a"},
		{"a line less", "a\nb\n", "b\n", "@@ -1,2 +1 @@\n-a\n b"},
		{"another line", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c"},
		{"three lines around", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
			"@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8"},
		{"two hunks", "a\n" + many + "b\n", "A\n" + many + "B\n",
			"@@ -1,4 +1,4 @@\n-a\n+A\n same\n same\n same\n@@ -19,4 +19,4 @@\n same\n same\n same\n-b\n+B"},
		{"near changes are one hunk", "a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
			"@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B"},
		{"an empty line stays empty", "a\n\nb\n", "a\n\n", "@@ -1,3 +1,2 @@\n a\n\n-b"},
		{"no end of the last line", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b"},
		{"a space more", "a\n", "a \n", "@@ -1 +1 @@\n-a\n+a "},
		{"brackets don't tear lines apart", "f {\n\tx()\n}\n", "f {\n}\n\ng {\n\tx()\n}\n",
			"@@ -1,3 +1,6 @@\n f {\n+}\n+\n+g {\n \tx()\n }"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, strings.Join(Unified(c.from, c.to), "\n"))
		})
	}
}

func TestChanged(t *testing.T) {
	assert.Zero(t, Changed(Unified("a\n", "a\n")))
	assert.Equal(t, 3, Changed(Unified("a\nb\nc\n", "a\nB\nC\nc\n")))
}

func TestNamed(t *testing.T) {
	assert.Empty(t, Named("x", "y", "a\n", "a\n"))
	assert.Equal(t, "--- x\n+++ y\n@@ -0,0 +1 @@\n+a", Named("x", "y", "", "a\n"))
}
