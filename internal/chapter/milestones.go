// The milestones of a specification, as its source has them.

package chapter

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"example.com/rpcworkbook/internal/carry"
)

// A Milestone is one numbered demand of a specification.
type Milestone struct {
	Number   string // "3.2"
	Sentence string
}

var milestoneText = regexp.MustCompile(`^([0-9]+\.[0-9]+) (.+)`)

// Milestones returns those of a chapter's specification, in the order of the
// source, which is that of the chapter. A milestone is a text beginning with
// its number that is passed to a function: whatever runs it, t.Run or another,
// is no matter here.
func (b *Book) Milestones(c carry.Chapter) ([]Milestone, error) {
	name := fmt.Sprintf("spec%d_test.go", c.Number)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(b.root, c.Dir, name), nil,
		parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("look for the milestones of chapter %d: %w", c.Number, err)
	}

	var all []Milestone
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}

		for _, arg := range call.Args {
			text, _ := carry.Text(arg)
			m := milestoneText.FindStringSubmatch(text)
			if m == nil || !strings.HasPrefix(m[1], strconv.Itoa(c.Number)+".") {
				continue
			}
			if !slices.ContainsFunc(all, func(other Milestone) bool { return other.Number == m[1] }) {
				all = append(all, Milestone{m[1], m[2]})
			}
		}
		return true
	})

	if len(all) == 0 {
		return nil, fmt.Errorf("no milestone in %s/%s", c.Dir, name)
	}
	return all, nil
}

// only returns the chapter and the milestone that an ONLY on the command line
// of make means. It must be one of c or of a chapter before it.
func (b *Book) only(c carry.Chapter, only string) (carry.Chapter, Milestone, error) {
	chapter, _, _ := strings.Cut(only, ".")
	for _, of := range b.chapters {
		if of.Number > c.Number || chapter != strconv.Itoa(of.Number) {
			continue
		}
		all, err := b.Milestones(of)
		if err != nil {
			return of, Milestone{}, err
		}

		for _, m := range all {
			if m.Number == only {
				return of, m, nil
			}
		}
		return of, Milestone{}, fmt.Errorf("there is no milestone ONLY=%s: chapter %d has %s to %s",
			only, of.Number, all[0].Number, all[len(all)-1].Number)
	}

	return c, Milestone{}, fmt.Errorf("there is no milestone ONLY=%s for STEP=%d: "+
		"it is a number such as %d.1, of this chapter or one before it", only, c.Number, c.Number)
}
