// Links: each leads to a file, a directory or a heading that is there. What
// leads out of the workbook is only looked at, never followed.

package book

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

var (
	inlineTarget  = regexp.MustCompile(`\]\(\s*(<[^>]*>|(?:[^()\s]|\([^()\s]*\))*)(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)`)
	definition    = regexp.MustCompile(`^ {0,3}\[([^\]]+)\]:\s*(\S+)`)
	reference     = regexp.MustCompile(`\[([^\[\]]+)\]\[([^\[\]]*)\]`)
	htmlTarget    = regexp.MustCompile(`<(?:a|img|source|video)\b[^>]*?\b(?:href|src|srcset)="([^"]*)"`)
	outsideTarget = regexp.MustCompile(`\bhttps?:[^\s<>"'\])` + "`" + `]*`)
	lineAnchor    = regexp.MustCompile(`^L([0-9]+)(?:-L([0-9]+))?$`)
	inComment     = regexp.MustCompile(`<!--.*?-->`)
)

// CheckLinks returns what is wrong with the links of docs, the texts of the
// module in root.
func CheckLinks(root string, docs []*Doc) (problems []string) {
	byPath := map[string]*Doc{}
	for _, d := range docs {
		byPath[d.Path] = d
	}

	anchors := map[string]map[string]bool{} // by path, once they are needed
	for _, d := range docs {
		for _, l := range d.links() {
			var wrong string
			if u, err := url.Parse(l.target); err != nil || u.Scheme != "" || u.Host != "" {
				wrong = outside(l.target)
			} else {
				wrong = inside(root, d, u, func(to string) map[string]bool {
					if byPath[to] != nil && anchors[to] == nil {
						anchors[to] = byPath[to].anchors()
					}
					return anchors[to]
				})
			}

			if wrong != "" {
				problems = append(problems, d.at(l.line, "the link to %s: %s", l.target, wrong))
			}
		}
		problems = append(problems, d.undefined()...)
	}
	return problems
}

// outside says what is wrong with a link that leads out of the workbook.
func outside(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return "it is not well formed: " + err.Error()
	}
	if u.Scheme != "https" {
		return "it must be https"
	}

	host := u.Hostname()
	if !strings.Contains(host, ".") || strings.HasPrefix(host, ".") || strings.HasSuffix(host, ".") {
		return "that is no host's name"
	}
	return ""
}

// inside says what is wrong with a link from d into the workbook. anchors
// returns those of a text, nil for what is none.
func inside(root string, d *Doc, u *url.URL, anchors func(path string) map[string]bool) string {
	to := d.Path
	switch {
	case u.Path == "" && u.Fragment == "":
		return "it is empty"
	case strings.HasPrefix(u.Path, "/"):
		return "it must be relative to this text's directory"
	case u.Path != "":
		to = path.Join(path.Dir(d.Path), u.Path)
	}

	if to == ".." || strings.HasPrefix(to, "../") {
		return "it leads out of the workbook"
	}
	if to != "." && foreign(to) {
		return "git doesn't have that, so readers don't either"
	}

	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(to)))
	switch {
	case err != nil:
		return "there is no such file or directory; it is relative to this text's directory"
	case u.Fragment == "":
		return ""
	case info.IsDir():
		return "a directory has no anchors: name its README.md"
	}

	if names := anchors(to); names != nil {
		if !names[u.Fragment] {
			return "no heading of " + to + " has the anchor #" + u.Fragment
		}
		return ""
	}

	m := lineAnchor.FindStringSubmatch(u.Fragment)
	if m == nil {
		return "the anchor in a file that is no text can only be a line, as in #L12 or #L12-L34"
	}

	content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(to)))
	if err != nil {
		return err.Error()
	}
	lines := len(splitLines(string(content)))
	for _, number := range m[1:] {
		if n, _ := strconv.Atoi(number); n > lines {
			return "the file has only " + strconv.Itoa(lines) + " lines"
		}
	}
	return ""
}

// A link is where it stands, and where it leads to.
type link struct {
	line   int // from 0
	target string
}

// links returns the document's links, images included.
func (d *Doc) links() (all []link) {
	masked := d.masked()
	for i, line := range masked {
		add := func(target string) {
			all = append(all, link{i, strings.Trim(target, "<>")})
		}

		for _, m := range inlineTarget.FindAllStringSubmatch(line, -1) {
			add(m[1])
		}
		for _, m := range htmlTarget.FindAllStringSubmatch(line, -1) {
			add(m[1])
		}

		if m := definition.FindStringSubmatch(line); m != nil {
			add(m[2])
		}
		// Those that are the targets of links have been added: what is left
		// is in the text.
		line = inlineTarget.ReplaceAllString(line, "")
		line = htmlTarget.ReplaceAllString(definition.ReplaceAllString(line, ""), "")
		for _, target := range outsideTarget.FindAllString(line, -1) {
			add(strings.TrimRight(target, ".,;:!?"))
		}
	}
	return all
}

// undefined returns the references that no definition in the document has.
func (d *Doc) undefined() (problems []string) {
	masked := d.masked()
	defined := map[string]bool{}
	for _, line := range masked {
		if m := definition.FindStringSubmatch(line); m != nil {
			defined[strings.ToLower(m[1])] = true
		}
	}

	for i, line := range masked {
		for _, m := range reference.FindAllStringSubmatch(line, -1) {
			name := m[2]
			if name == "" {
				name = m[1]
			}
			if !defined[strings.ToLower(name)] {
				problems = append(problems, d.at(i, "the link %s: no line here begins with [%s]:", m[0], name))
			}
		}
	}
	return problems
}
