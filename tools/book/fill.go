// Filling the fences below the markers.

package book

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"example.com/rpcworkbook/internal/diff"
)

// Fill returns the document's text with the fences below its quote and diff
// markers as they should be, and what is wrong with the markers; the fences of
// those stay as they are. root is the module's directory.
func (d *Doc) Fill(root string) (content string, problems []string) {
	problems = slices.Clone(d.faults)

	var out []string
	done := 0 // lines that are in out
	for _, m := range d.markers() {
		lines, err := m.content(root, path.Dir(d.Path))
		if err != nil {
			problems = append(problems, d.at(m.line, "%v", err))
			continue
		}

		margin := indentation(d.lines[m.line])
		opening, end := m.language(), m.line+1
		quotes := strings.Repeat("`", 3)
		if m.block >= 0 {
			b := d.blocks[m.block]
			margin, end = b.indent, b.last+1
			opening = cmp.Or(b.info, opening)
		}

		for slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, quotes) }) {
			quotes += "`"
		}

		out = append(out, d.lines[done:m.line+1]...)
		out = append(out, margin+quotes+opening)
		for _, line := range lines {
			if line != "" {
				line = margin + line
			}
			out = append(out, line)
		}
		out = append(out, margin+quotes)

		done = end
	}
	return strings.Join(append(out, d.lines[done:]...), "\n") + "\n", problems
}

// Fill fills all texts below root and writes those that have changed: it
// returns their paths, and what is wrong with markers.
func Fill(root string) (written, problems []string, err error) {
	docs, err := Load(root)
	if err != nil {
		return nil, nil, err
	}

	for _, d := range docs {
		content, wrong := d.Fill(root)
		problems = append(problems, wrong...)

		if content == d.Content() {
			continue
		}

		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(d.Path)), []byte(content), 0o644); err != nil {
			return written, problems, fmt.Errorf("fill %s: %w", d.Path, err)
		}
		written = append(written, d.Path)
	}
	return written, problems, nil
}

// Stale says which fences Fill would change, and what is wrong with markers:
// one problem each, which says where, and what to do.
func (d *Doc) Stale(root string) (problems []string) {
	content, problems := d.Fill(root)
	filled := Parse(d.Path, content)
	was, is := d.markers(), filled.markers()

	for i, m := range was {
		switch old, new := d.fenceOf(m), filled.fenceOf(is[i]); {
		case m.block < 0 && new != "":
			problems = append(problems, d.at(m.line, "there is no fence below %s: type `make readme`, which makes "+
				"it", strings.TrimSpace(d.lines[m.line])))
		case old != new:
			problems = append(problems,
				d.at(m.line, "the fence below %s isn't what the file says: type `make readme`, which would change\n%s",
					strings.TrimSpace(d.lines[m.line]), strings.Join(diff.Unified(old, new), "\n")))
		}
	}
	return problems
}

// fenceOf returns a marker's fence, "" if it has none.
func (d *Doc) fenceOf(m *marker) string {
	if m.block < 0 {
		return ""
	}
	b := d.blocks[m.block]
	return strings.Join(d.lines[b.first-1:b.last+1], "\n") + "\n"
}

// markers returns the quotes and diffs of the document, from top to bottom.
func (d *Doc) markers() []*marker {
	all := slices.Clone(d.orphans)
	for _, b := range d.blocks {
		if b.marker != nil && b.marker.verb != "replay" {
			all = append(all, b.marker)
		}
	}
	slices.SortFunc(all, func(a, b *marker) int { return a.line - b.line })
	return all
}

// content returns what the fence of a marker must hold. dir is the one that
// its files are relative to, below root.
func (m *marker) content(root, dir string) ([]string, error) {
	file, err := readFile(root, dir, m.args[0])
	if err != nil {
		return nil, err
	}

	if m.verb == "diff" {
		to, err := readFile(root, dir, m.args[1])
		if err != nil {
			return nil, err
		}
		if file == to {
			return nil, fmt.Errorf("%s and %s are the same: there is no diff to show", m.args[0], m.args[1])
		}
		return diff.Unified(file, to), nil
	}

	lines, err := quote(file, m.args[1], strings.Join(m.args[2:], ""))
	if err != nil {
		return nil, fmt.Errorf("quote %s: %w", m.args[0], err)
	}
	return lines, nil
}

func readFile(root, dir, name string) (string, error) {
	rel := path.Join(dir, name)
	if path.IsAbs(name) || strings.HasPrefix(rel, "../") || foreign(rel) {
		return "", fmt.Errorf("the marker's file %s is no part of the workbook", name)
	}
	text, err := os.ReadFile(filepath.Join(root, rel))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the marker's file %s isn't there: its name is relative to this text's directory", name)
	}
	return string(text), err
}

// language returns what a new fence is marked with.
func (m *marker) language() string {
	if m.verb == "diff" {
		return "diff"
	}

	switch name := path.Base(m.args[0]); path.Ext(name) {
	case ".go":
		return "go"
	case ".sh":
		return "sh"
	case ".py":
		return "python"
	case ".mod":
		return "go.mod"
	default:
		if name == "Makefile" {
			return "make"
		}
	}
	return "text"
}
