// What a reader of a chapter starts from, is given, and writes: the same tables
// that carry the files know it.

package carry

import (
	"maps"
	"slices"
	"strings"
)

// A Chapter is one step as its reader finds it. All names are those of files,
// sorted, without tests.
type Chapter struct {
	Number int
	Dir    string // the step's directory, without the root
	Before string // the directory of the step before; "" for the first

	Start  []string // all sources of the step before, main.go among them
	Given  []string // new files of this step that the reader is given
	Write  []string // new files of this step that he writes
	Revise []string // earlier files that this step changes, main.go apart
}

// Chapters returns the chapters that are there, in reading order. Final is
// none.
func (t *Tree) Chapters() []Chapter {
	var all []Chapter
	before := step{}
	for _, s := range t.steps {
		if s.dir == finalDir {
			break
		}

		c := Chapter{Number: s.number, Dir: s.dir, Before: before.dir, Start: before.sources()}
		for _, name := range s.sources() {
			switch {
			case isMain(name):
			case before.files[name]:
				if t.rules.revised(s.dir, name) {
					c.Revise = append(c.Revise, name)
				}
			case t.rules.given(s.number, name):
				c.Given = append(c.Given, name)
			default:
				c.Write = append(c.Write, name)
			}
		}

		all = append(all, c)
		before = s
	}

	return all
}

// sources returns the step's files that are no tests.
func (s step) sources() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if !strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
	}
	return names
}

// FinalIsThere reports whether the tree is the whole workbook, and not what a
// class got of it.
func (t *Tree) FinalIsThere() bool {
	return len(t.steps) > 0 && t.steps[len(t.steps)-1].dir == finalDir
}
