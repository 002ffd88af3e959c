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

// A milestone is one numbered demand of a specification.
type milestone struct {
	number   string // "3.2"
	sentence string
}

var milestoneText = regexp.MustCompile(`^([0-9]+\.[0-9]+) (.+)`)

// milestones returns those of a chapter's specification, in the order of the
// source, which is that of the chapter. A milestone is a text beginning with
// its number that is passed to a function: whatever runs it, t.Run or another,
// is no matter here.
func (b *Book) milestones(c carry.Chapter) ([]milestone, error) {
	name := fmt.Sprintf("spec%d_test.go", c.Number)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(b.root, c.Dir, name), nil,
		parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("look for the milestones of chapter %d: %w", c.Number, err)
	}

	var all []milestone
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
			if !slices.ContainsFunc(all, func(other milestone) bool { return other.number == m[1] }) {
				all = append(all, milestone{m[1], m[2]})
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
func (b *Book) only(c carry.Chapter, only string) (carry.Chapter, milestone, error) {
	chapter, _, _ := strings.Cut(only, ".")
	for _, of := range b.chapters {
		if of.Number > c.Number || chapter != strconv.Itoa(of.Number) {
			continue
		}
		all, err := b.milestones(of)
		if err != nil {
			return of, milestone{}, err
		}

		for _, m := range all {
			if m.number == only {
				return of, m, nil
			}
		}
		return of, milestone{}, fmt.Errorf("there is no milestone ONLY=%s: chapter %d has %s to %s",
			only, of.Number, all[0].number, all[len(all)-1].number)
	}

	return c, milestone{}, fmt.Errorf("there is no milestone ONLY=%s for STEP=%d: "+
		"it is a number such as %d.1, of this chapter or one before it", only, c.Number, c.Number)
}
