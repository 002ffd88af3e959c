// Markers: comments that say what the code block below them is.
//
//	<!-- quote FILE "START" -->        some lines of a file
//	<!-- quote FILE "START" "END" -->
//	<!-- diff FROM TO -->              how one file differs from another
//	<!-- replay -->                    what a terminal shows; a test runs it
//
// Files are relative to the text's own directory.

package book

import (
	"regexp"
	"strconv"
	"strings"
)

// A marker is one of them.
type marker struct {
	line  int    // where it stands, from 0
	verb  string // quote, diff or replay
	args  []string
	block int // the index of the block below; -1 if there is none yet
}

var (
	markerVerb = regexp.MustCompile(`^\s*<!--\s*(quote|diff|replay)\b`)
	markerLine = regexp.MustCompile(`^\s*<!--\s*(quote|diff|replay)(?:\s+(.*?))?\s*-->\s*$`)
)

// What the arguments of each may be.
var usage = map[string]struct {
	least, most int
	form        string
}{
	"quote":  {2, 3, `<!-- quote FILE "START" --> or <!-- quote FILE "START" "END" -->`},
	"diff":   {2, 2, `<!-- diff FROM TO -->`},
	"replay": {0, 0, `<!-- replay -->`},
}

// findMarkers ties the document's markers to its blocks.
func (d *Doc) findMarkers() {
	below := map[int]int{} // line of a fence to the index of its block
	for i, b := range d.blocks {
		if b.fenced {
			below[b.first-1] = i
		}
	}

	for i, line := range d.lines {
		if d.kinds[i] != comment || i > 0 && d.kinds[i-1] == comment && !strings.Contains(d.lines[i-1], "-->") {
			continue // not the beginning of a comment
		}

		next, fenced := below[i+1]
		verb := markerVerb.FindStringSubmatch(line)
		if verb == nil {
			if fenced && strings.Contains(line, "-->") {
				d.fault(i, "a comment directly above a fence is taken for a marker, and is none: %s, %s or %s",
					usage["quote"].form, usage["diff"].form, usage["replay"].form)
			}
			continue
		}

		want := usage[verb[1]]
		parts := markerLine.FindStringSubmatch(line)
		if parts == nil {
			d.fault(i, "a marker is one line and stands alone in it: %s", want.form)
			continue
		}
		args, ok := splitArgs(parts[2])
		if !ok || len(args) < want.least || len(args) > want.most {
			d.fault(i, `this marker must be %s, with \" for a quotation mark inside`, want.form)
			continue
		}

		m := &marker{line: i, verb: verb[1], args: args, block: -1}
		if fenced {
			m.block = next
		} else if _, far := below[i+2]; far && d.lines[i+1] == "" {
			d.fault(i, "the fence must stand directly below the marker, without an empty line between them")
			continue
		} else if m.verb == "replay" {
			d.fault(i, "there is no fence below this marker: it needs a ```console with what to run")
			continue
		}

		if m.block < 0 {
			d.orphans = append(d.orphans, m)
		} else {
			d.blocks[m.block].marker = m
		}
	}
}

// splitArgs splits a marker's arguments: plain words, and Go strings in double
// quotes.
func splitArgs(text string) (args []string, ok bool) {
	for {
		text = strings.TrimSpace(text)
		if text == "" {
			return args, true
		}
		if text[0] != '"' {
			word, rest, _ := strings.Cut(text, " ")
			args, text = append(args, word), rest
			continue
		}

		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, false
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil || arg == "" {
			return nil, false
		}
		args, text = append(args, arg), text[len(quoted):]
	}
}
