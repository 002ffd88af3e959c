// Code within lines of text, between backquotes.

package book

import "strings"

// masked returns the lines with crosses in place of all that is code or a
// comment. The lengths stay.
func (d *Doc) masked() []string {
	lines := d.prose()
	d.eachSpan(func(line, begin, end int) {
		for ; begin > len(lines[line]) || end > len(lines[line]); line++ {
			here := min(begin, len(lines[line]))
			lines[line] = lines[line][:here] + cross(lines[line][here:])
			begin, end = max(0, begin-len(lines[line])-1), end-len(lines[line])-1
		}
		lines[line] = lines[line][:begin] + cross(lines[line][begin:end]) + lines[line][end:]
	})
	for i, line := range lines {
		lines[i] = inComment.ReplaceAllStringFunc(line, cross)
	}
	return lines
}

// codeSpans returns what stands between backquotes, ends of lines as spaces.
func (d *Doc) codeSpans() (all []part) {
	lines := d.prose()
	d.eachSpan(func(line, begin, end int) {
		text := strings.Join(lines[line:], "\n")[begin:end]
		text = strings.Trim(text, "`")
		all = append(all, part{line, strings.Join(strings.Fields(text), " ")})
	})
	return all
}

// prose returns the lines of the document, empty where they are code or
// comments.
func (d *Doc) prose() []string {
	lines := make([]string, len(d.lines))
	for i, line := range d.lines {
		if d.kinds[i] == prose {
			lines[i] = line
		}
	}
	return lines
}

// eachSpan calls found for each piece of code, with its backquotes: the line in
// which it begins, and where it begins and ends, counted from the beginning of
// that line. It may end in another line, but not behind an empty one.
func (d *Doc) eachSpan(found func(line, begin, end int)) {
	lines := d.prose()
	for first := 0; first < len(lines); first++ {
		last := first
		for last < len(lines) && lines[last] != "" {
			last++
		}
		if last == first {
			continue
		}

		paragraph := strings.Join(lines[first:last], "\n")
		for _, at := range spans(paragraph) {
			before := paragraph[:at[0]]
			start := strings.LastIndexByte(before, '\n') + 1
			found(first+strings.Count(before, "\n"), at[0]-start, at[1]-start)
		}
		first = last
	}
}

// spans returns where code begins and ends in a paragraph.
func spans(paragraph string) (all [][2]int) {
	for at := 0; ; {
		open := strings.IndexByte(paragraph[at:], '`')
		if open < 0 {
			return all
		}
		open += at

		after := strings.TrimLeft(paragraph[open:], "`")
		quotes := paragraph[open : len(paragraph)-len(after)]
		length := closing(after, quotes)

		at = open + len(quotes)
		if open > 0 && paragraph[open-1] == '\\' || length < 0 { // they mean themselves
			continue
		}
		at += length + len(quotes)
		all = append(all, [2]int{open, at})
	}
}

// closing returns where code that was opened by these backquotes is closed by
// as many; -1 if it isn't.
func closing(text, quotes string) int {
	for at := 0; ; {
		i := strings.IndexByte(text[at:], '`')
		if i < 0 {
			return -1
		}
		at += i
		run := len(text[at:]) - len(strings.TrimLeft(text[at:], "`"))
		if run == len(quotes) {
			return at
		}
		at += run
	}
}

// cross returns as many crosses as the text has bytes.
func cross(text string) string { return strings.Repeat("x", len(text)) }
