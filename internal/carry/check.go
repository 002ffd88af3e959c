// The gate: what is wrong with the tree, each finding in words that say what
// to do about it.

package carry

import (
	"bytes"
	"fmt"
	"path"
	"slices"

	"example.com/rpcworkbook/internal/diff"
)

// Check returns what is wrong with the tree: carried files that differ or are
// missing, revisions that revise nothing, chapters over their budget.
func (t *Tree) Check() (problems []string, err error) {
	for _, c := range t.copies() {
		want, got, err := t.contents(c)
		if err != nil {
			return nil, err
		}
		original, copy := path.Join(c.from, c.name), path.Join(c.to, c.name)
		switch {
		case got == nil:
			problems = append(problems, fmt.Sprintf(
				"%s is missing: %s introduces the file and every later step carries it; run `make carry`",
				copy, c.from))
		case !bytes.Equal(want, got):
			problems = append(problems, fmt.Sprintf(
				"%s differs from %s: make the change in %s and run `make carry`, "+
					"which copies it to the later steps\n%s",
				copy, original, original, c.diff(want, got)))
		}
	}

	for _, r := range t.rules.Revisions {
		if !t.has(r.Step) && !t.FinalIsThere() {
			continue // a handout ends before that step
		}
		problem, err := t.revision(r)
		if err != nil {
			return nil, err
		}
		if problem != "" {
			problems = append(problems, problem)
		}
	}

	parts, err := t.Count()
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if part.Budget > 0 && part.Statements > part.Budget {
			problems = append(problems, fmt.Sprintf(
				"%s has %d statements (%s), %d over its budget of %d; `make budget` shows the files. "+
					"What the chapter doesn't need belongs in final; "+
					"what makes it clearer is worth a larger budget in internal/carry/rules.go",
				part.Step, part.Statements, part.Name, part.Statements-part.Budget, part.Budget))
		}
	}

	return problems, nil
}

// revision says what is wrong with one; "" if it does what the table says.
func (t *Tree) revision(r Revision) (problem string, err error) {
	idle := func(why string) (string, error) {
		return fmt.Sprintf("the revision of %s in %s has no effect (%s): "+
			"take it out of the table in internal/carry/rules.go", r.File, r.Step, why), nil
	}
	without := Tree{root: t.root, steps: t.steps}
	for _, other := range t.rules.Revisions {
		if other != r {
			without.rules.Revisions = append(without.rules.Revisions, other)
		}
	}
	for _, c := range without.copies() {
		if c.to != r.Step || c.name != r.File {
			continue
		}
		want, got, err := t.contents(c)
		switch {
		case err != nil:
			return "", err
		case got == nil:
			return idle("the file is not there")
		case bytes.Equal(want, got):
			return idle("the file is as in " + c.from)
		}

		lines := diff.Changed(diff.Unified(string(want), string(got)))
		if lines != r.Lines {
			return fmt.Sprintf("%s/%s revises %s/%s in %d lines, and not in %d: "+
				"make the last change to the one in the other, too, "+
				"or enter the new number in internal/carry/rules.go\n%s",
				r.Step, r.File, c.from, r.File, lines, r.Lines, c.diff(want, got)), nil
		}
		return "", nil
	}
	return idle("no earlier step carries such a file into that directory")
}

// has reports whether the tree has that directory.
func (t *Tree) has(dir string) bool {
	return slices.ContainsFunc(t.steps, func(s step) bool { return s.dir == dir })
}

// diff shows how the copy differs from what it should be.
func (c copied) diff(want, got []byte) string {
	return diff.Named(path.Join(c.from, c.name), path.Join(c.to, c.name), string(want), string(got))
}
