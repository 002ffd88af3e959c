// Tests of what a handout's texts leave out.

package chapter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTextsForAClass(t *testing.T) {
	there := func(name string) bool {
		return name == "docs/glossary.md" || name == "step1-a" || name == "step1-a/README.md"
	}
	for _, c := range []struct{ name, text, want string }{
		{"a link that stays", "See [one](glossary.md#frame), [two](../step1-a).\n", ""},
		{"links out of the workbook, and within a page", "[a](https://example.com/x), [b](#b)\n", ""},
		{"a link to what isn't there", "Read [the last](../final/a.md#b) of all.\n", "Read the last of all.\n"},
		{"one with code in it", "Read [`final`](../final/README.md), [`x` y](../y).\n", "Read `final`, `x` y.\n"},
		{"one over two lines", "Read [the\nlast](../final) one.\n", "Read the\nlast one.\n"},
		{"a picture", "A\n\n![b](../final/b.svg)\n", "A\n\n\n"},
		{"code is no link", "Call `all[i](x)`, or [`a`](../x).\n", "Call `all[i](x)`, or `a`.\n"},
		{"code in a fence", "```go\nall[i](x)\n```\n", ""},
		{"a part for others", "A\n\n<!-- whole -->\nB\n\nC\n<!-- /whole -->\n\nD\n", "A\n\nD\n"},
		{"a part at the end of a list", "- A\n<!-- whole -->\n- B\n<!-- /whole -->\n\nC\n", "- A\n\nC\n"},
		{"a link in such a part", "A\n<!-- whole -->\n[b](../b)\n<!-- /whole -->\nD\n", "A\nD\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			if want == "" {
				want = c.text
			}
			got, err := forClass("docs/x.md", c.text, there)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestPartsThatAreNotClosed(t *testing.T) {
	for _, text := range []string{"<!-- whole -->\nA\n", "A\n<!-- /whole -->\n",
		strings.Repeat("<!-- whole -->\n", 2) + "<!-- /whole -->\n"} {
		_, err := forClass("docs/x.md", text, func(string) bool { return true })
		assert.ErrorContains(t, err, "docs/x.md: <!-- ")
		assert.ErrorContains(t, err, "without its counterpart")
	}
}
