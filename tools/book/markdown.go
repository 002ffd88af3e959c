// Markdown, as much of it as is needed here: which lines are code, which are
// comments, and which are text.

package book

import (
	"fmt"
	"regexp"
	"strings"
)

// What a line of a Doc is.
type kind byte

const (
	prose     kind = iota
	comment        // of HTML, or a part of one
	delimiter      // opens or closes a fence
	code           // in a fence, or indented
)

// A Doc is a markdown file.
type Doc struct {
	Path    string   // relative to the root, with slashes
	lines   []string // without their ends
	kinds   []kind   // of each line
	blocks  []block
	orphans []*marker // that have no block yet
	faults  []string  // what is wrong with its form
}

// A block is some lines of code.
type block struct {
	info        string // the language; "" if the fence names none
	fenced      bool   // or else indented
	first, last int    // the lines of code are lines[first:last]; a fence is one line more on each side
	indent      string // before each of its lines, and before the fence
	marker      *marker
}

// text returns the block's lines without the block's indentation.
func (b block) text(d *Doc) []string {
	lines := make([]string, 0, b.last-b.first)
	for _, line := range d.lines[b.first:b.last] {
		lines = append(lines, cutIndent(line, b.indent))
	}
	return lines
}

// cutIndent takes as much of indent from a line as there is.
func cutIndent(line, indent string) string {
	for i := range indent {
		if i == len(line) || line[i] != ' ' && line[i] != '\t' {
			return line[i:]
		}
	}
	return line[len(indent):]
}

var (
	fenceLine = regexp.MustCompile("^( *)(`{3,}|~{3,}) *([^` ]*)[^`]*$")
	listItem  = regexp.MustCompile(`^ *([-*+]|[0-9]+[.)]) +`)
)

// Parse cuts a markdown text into lines and blocks. path is for messages, and
// what links are relative to. What is wrong is told by Faults.
func Parse(path, content string) *Doc {
	d := &Doc{Path: path, lines: strings.Split(strings.TrimSuffix(content, "\n"), "\n")}
	d.kinds = make([]kind, len(d.lines))
	list := 0 // where the text of the present list item begins
	for i := 0; i < len(d.lines); i++ {
		line := d.lines[i]
		indented := len(line) - len(strings.TrimLeft(line, " "))
		switch fence := fenceLine.FindStringSubmatch(line); {
		case fence != nil && indented < list+4:
			i = d.fence(i, fence[1], fence[2], fence[3])
		case indented >= list+4 && strings.TrimSpace(line) != "" && (i == 0 || strings.TrimSpace(d.lines[i-1]) == ""):
			i = d.indented(i, strings.Repeat(" ", list+4))
		case strings.HasPrefix(strings.TrimLeft(line, " "), "<!--"):
			i = d.comment(i)
		case listItem.MatchString(line):
			list = len(listItem.FindString(line))
		case indented == 0 && line != "":
			list = 0
		}
	}
	d.findMarkers()
	return d
}

// fence notes the block that begins at line i, and returns its last line.
func (d *Doc) fence(i int, indent, quotes, info string) int {
	d.kinds[i] = delimiter
	for end := i + 1; end < len(d.lines); end++ {
		trimmed := strings.TrimSpace(d.lines[end])
		if len(trimmed) >= len(quotes) && strings.Trim(trimmed, quotes[:1]) == "" {
			d.kinds[end] = delimiter
			d.blocks = append(d.blocks, block{info: info, fenced: true, first: i + 1, last: end, indent: indent})
			return end
		}
		d.kinds[end] = code
	}
	d.fault(i, "this fence isn't closed: end it with a line %s", quotes)
	return len(d.lines)
}

// indented does so with an indented block.
func (d *Doc) indented(i int, indent string) int {
	end := i
	for j := i; j < len(d.lines); j++ {
		if strings.HasPrefix(d.lines[j], indent) {
			end = j + 1
		} else if strings.TrimSpace(d.lines[j]) != "" {
			break
		}
	}

	for j := i; j < end; j++ {
		d.kinds[j] = code
	}
	d.blocks = append(d.blocks, block{first: i, last: end, indent: indent})
	return end - 1
}

// comment does so with a comment.
func (d *Doc) comment(i int) int {
	for end := i; end < len(d.lines); end++ {
		d.kinds[end] = comment
		if strings.Contains(d.lines[end], "-->") {
			return end
		}
	}
	d.fault(i, "this comment isn't closed: end it with -->")
	return len(d.lines)
}

// Faults returns what is wrong with the form of the text: each of them is one
// line that says where, and what to do.
func (d *Doc) Faults() []string { return d.faults }

func (d *Doc) fault(line int, format string, args ...any) {
	d.faults = append(d.faults, d.at(line, format, args...))
}

// at is a message about a line, counted from 0.
func (d *Doc) at(line int, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", d.Path, line+1, fmt.Sprintf(format, args...))
}

// Content returns the document's text.
func (d *Doc) Content() string { return strings.Join(d.lines, "\n") + "\n" }

// splitLines cuts a text into its lines, without their ends.
func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
