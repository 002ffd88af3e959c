// The texts of a handout: what a class can't use is left out.

package chapter

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// Between these two lines a text speaks to readers of the whole workbook: of
// its commands that need final, for example.
const (
	wholeBegins = "<!-- whole -->"
	wholeEnds   = "<!-- /whole -->"
)

// Code comes first, because a bracket in it begins no link. The text of a link
// may hold code, too.
var codeOrLink = regexp.MustCompile("`[^`]+`|!?\\[((?:[^\\[\\]`]|`[^`]*`)*)\\]\\(([^()\\s]+)\\)")

// forClass returns the text of the file name as a class gets it: without the
// parts that are for readers of the whole workbook, and with no link to a file
// that isn't there. Of such a link the words stay; a picture goes. there is
// asked for files and directories, by their paths from the root.
func forClass(name, text string, there func(name string) bool) (string, error) {
	text, err := withoutWhole(name, text)
	if err != nil {
		return "", err
	}

	unlink := func(match string) string {
		m := codeOrLink.FindStringSubmatch(match)
		target := m[2]
		u, err := url.Parse(target)
		switch {
		case target == "" || err != nil || u.Host != "" || u.Path == "": // code, or a link that stays
			return match
		case there(path.Join(path.Dir(name), u.Path)):
			return match
		case match[0] == '!':
			return ""
		}
		return m[1]
	}

	var out, prose strings.Builder
	flush := func() {
		out.WriteString(codeOrLink.ReplaceAllStringFunc(prose.String(), unlink))
		prose.Reset()
	}
	fenced := false
	for line := range strings.Lines(text) {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if !fence && !fenced {
			prose.WriteString(line)
			continue
		}

		flush()
		out.WriteString(line)
		fenced = fenced != fence
	}
	flush()
	return out.String(), nil
}

// withoutWhole returns the text without the parts between the two marks. Of the
// empty lines before and after such a part one stays.
func withoutWhole(name, text string) (string, error) {
	var out strings.Builder
	inside, after := false, false
	before := "" // the last line that stays
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		switch {
		case bare == wholeBegins && inside, bare == wholeEnds && !inside:
			return "", fmt.Errorf("%s: %s without its counterpart", name, bare)
		case bare == wholeBegins:
			inside = true
		case bare == wholeEnds:
			inside, after = false, true
			continue
		case inside, after && bare == "" && before == "":
		default:
			out.WriteString(line)
			before = bare
		}
		after = false
	}

	if inside {
		return "", fmt.Errorf("%s: %s without its counterpart", name, wholeBegins)
	}
	return out.String(), nil
}
