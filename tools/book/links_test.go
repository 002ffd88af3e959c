// Tests of links and anchors.

package book

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSlug(t *testing.T) {
	for text, want := range map[string]string{
		"How fast, and why":                 "how-fast-and-why",
		"`main.go`":                         "maingo",
		"The file `sys_linux.go`":           "the-file-sys_linuxgo",
		"2.1–2.3 One turn":                  "2123-one-turn",
		"What's *new*, in **bold**?":        "whats-new-in-bold",
		"An _emphasis_ and a_b":             "an-emphasis-and-a_b",
		"`__init__` stays":                  "__init__-stays",
		"A [link](x.md) and [`code`](y.go)": "a-link-and-code",
		"Größe: 时间轮":                        "größe-时间轮",
		"a & b":                             "a--b",
		"a &amp; b":                         "a--b",
		"<a id=\"x\"></a>Tag":               "tag",
		"C++ / Go - x":                      "c--go---x",
	} {
		assert.Equal(t, want, slug(text), text)
	}
}

func TestAnchors(t *testing.T) {
	d := Parse("a.md", ticks("# Title #\n## Same\n### Same\n## Same-1\n## Same\n\n'''\n# Not\n'''\n"+
		"<a id=\"here\"></a>\n`<a id=\"code\">`\n#Not either\n    # Nor\n"))
	assert.Equal(t, map[string]bool{
		"title": true, "same": true, "same-1": true, "same-1-1": true, "same-2": true, "here": true,
	}, d.anchors())
}

func TestLinks(t *testing.T) {
	root := tree(t, map[string]string{
		"README.md": "", "LICENSE": "1\n2\n", "ch/README.md": "", "ch/a b.svg": "", "ch/x(1).go": "1\n2\n3\n",
		"bin/tool": "", ".ci/run": "",
		"other.md": "",
	})
	other := Parse("other.md", "# Other\n<a name=\"old\">\n")
	for _, c := range []struct{ name, text, want string }{
		{"a file", "[a](../LICENSE)", ""},
		{"a directory", "[a](../ch/)", ""},
		{"the root", "[a](..)", ""},
		{"an image", "![a](a%20b.svg)", ""},
		{"a name in brackets", "![a](<a b.svg> \"title\")", ""},
		{"parentheses", "[a](x(1).go)", ""},
		{"an image in a link", "[![a](a%20b.svg)](../LICENSE)", ""},
		{"a text with code", "[`a](nowhere)`](../LICENSE)", ""},
		{"an anchor", "# Here\n[a](#here)", ""},
		{"an anchor elsewhere", "[a](../other.md#other) [b](../other.md#old)", ""},
		{"a line", "[a](../LICENSE#L2) [b](x(1).go#L1-L3)", ""},
		{"outside", "[a](https://man7.org/linux/man-pages/man7/epoll.7.html#NOTES)", ""},
		{"outside, bare", "see <https://go.dev/> or https://go.dev/doc.", ""},
		{"a reference", "[a][b] and [b][]\n\n[b]: ../LICENSE\n", ""},
		{"a picture with a dark version", "<picture>\n<source media=\"(prefers-color-scheme: dark)\" " +
			"srcset=\"a%20b.svg\">\n<img src=\"a%20b.svg\" alt=\"a\">\n</picture>", ""},
		{"html", "<img src=\"../LICENSE\"> <a href=\"https://go.dev\">x</a>", ""},
		{"in a fence", "'''\n[a](nowhere)\n'''\n", ""},
		{"in code", "`[a](nowhere)` and ``b ` [c](nowhere)``", ""},
		{"in code over a line's end", "`a\n[a](nowhere)`", ""},
		{"in a comment", "<!-- [a](nowhere) -->\nx <!-- [a](nowhere) -->", ""},
		{"indented", "x\n\n    a[i](nowhere)\n", ""},

		{"no file", "x\n\n[a](nowhere.go)", "ch/README.md:3: the link to nowhere.go: there is no such file"},
		{"no image", "![a](nowhere.svg)", "there is no such file"},
		{"no dark version", "<source media=\"(prefers-color-scheme: dark)\" srcset=\"nowhere.svg\">",
			"there is no such file"},
		{"no file of html", "<img src=\"nowhere.svg\">", "the link to nowhere.svg"},
		{"no file of a reference", "[a][b]\n\n[b]: nowhere", "the link to nowhere"},
		{"no anchor", "# Here\n[a](#there)", "no heading of ch/README.md has the anchor #there"},
		{"case matters", "# Here\n[a](#Here)", "no heading"},
		{"no anchor elsewhere", "[a](../other.md#here)", "no heading of other.md"},
		{"no line", "[a](../LICENSE#L3)", "the file has only 2 lines"},
		{"an anchor in a source", "[a](../LICENSE#mit)", "can only be a line"},
		{"an anchor of a directory", "[a](../ch#here)", "name its README.md"},
		{"absolute", "[a](/LICENSE)", "must be relative"},
		{"out of the workbook", "[a](../../x)", "leads out of"},
		{"built", "[a](../bin/tool)", "git doesn't have that"},
		{"hidden", "[a](../.ci/run)", "git doesn't have that"},
		{"empty", "[a]()", "it is empty"},
		{"http", "[a](http://go.dev)", "it must be https"},
		{"http, bare", "see http://go.dev.", "the link to http://go.dev: it must be https"},
		{"another scheme", "[a](mailto:a@example.com)", "it must be https"},
		{"no scheme", "[a](//go.dev)", "it must be https"},
		{"no host", "[a](https://)", "that is no host's name"},
		{"half a host", "[a](https://go)", "that is no host's name"},
		{"not well formed", "[a](https://go.dev/%zz)", "not well formed"},
		{"no definition", "[a][b]", "the link [a][b]: no line here begins with [b]:"},
		{"behind a lone backquote", "a ` and [a](nowhere)", "the link to nowhere"},
		{"behind an escaped one", "a \\` and [a](nowhere) `", "the link to nowhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems := CheckLinks(root, []*Doc{Parse("ch/README.md", ticks(c.text)), other})
			if c.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0], c.want)
		})
	}
}
