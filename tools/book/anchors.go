// Anchors: what the part behind # in a link may be, by GitHub's rules.

package book

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"unicode"
)

// A heading is one of a document's.
type heading struct {
	line  int // from 0
	level int // 1 for #
	text  string
}

var (
	headingLine = regexp.MustCompile(`^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$`)
	codeSpan    = regexp.MustCompile("(`+)(.+?)`+") // near enough: what is inside has none
	inlineLink  = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	htmlTag     = regexp.MustCompile(`</?[a-zA-Z][^>]*>`)
	htmlID      = regexp.MustCompile(`<[a-zA-Z][^>]*\b(?:id|name)="([^"]+)"`)
	emphasis    = regexp.MustCompile(`(^|[^\p{L}\p{N}_])_+([^_]+)_+($|[^\p{L}\p{N}_])`)
)

// headings returns the document's headings, from top to bottom.
func (d *Doc) headings() (all []heading) {
	for i, line := range d.lines {
		if d.kinds[i] != prose {
			continue
		}
		if m := headingLine.FindStringSubmatch(line); m != nil {
			all = append(all, heading{line: i, level: len(m[1]), text: m[2]})
		}
	}
	return all
}

// anchors returns what a link into the document may name.
func (d *Doc) anchors() map[string]bool {
	names := map[string]bool{}
	for _, h := range d.headings() {
		base := slug(h.text)
		name := base
		for n := 1; names[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		names[name] = true
	}

	for i, line := range d.lines {
		if d.kinds[i] != prose {
			continue
		}
		for _, m := range htmlID.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
			names[m[1]] = true
		}
	}
	return names
}

// slug is the anchor of the first heading with that text: lower case, hyphens
// for spaces, and no punctuation but hyphens and underscores.
func slug(heading string) string {
	var shown strings.Builder // as the page has it
	plain := func(text string) {
		text = inlineLink.ReplaceAllString(text, "$1")
		text = htmlTag.ReplaceAllString(text, "")
		text = emphasis.ReplaceAllString(text, "$1$2$3")
		shown.WriteString(html.UnescapeString(text))
	}

	// Links first: their texts may hold code.
	heading = inlineLink.ReplaceAllString(heading, "$1")

	rest := 0
	for _, at := range codeSpan.FindAllStringSubmatchIndex(heading, -1) {
		plain(heading[rest:at[0]])
		shown.WriteString(heading[at[4]:at[5]])
		rest = at[1]
	}
	plain(heading[rest:])

	var out strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(shown.String())) {
		switch {
		case r == ' ':
			out.WriteByte('-')
		case r == '-' || r == '_' || unicode.In(r, unicode.L, unicode.M, unicode.N):
			out.WriteRune(r)
		}
	}
	return out.String()
}
