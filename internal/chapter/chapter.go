// Package chapter lets a reader work through a chapter: it lays out what he
// starts from, runs the specification against his program, shows how ours
// differs, and writes what a class gets. The make targets begin, try, compare,
// progress and handout are its commands.
package chapter

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"example.com/rpcworkbook/internal/carry"
)

// Mine is where the reader's program is, in the module's root: one directory,
// which grows from chapter to chapter.
const Mine = "_mine"

// A Book is the workbook on disk, or what a class has of it.
type Book struct {
	root     string
	mine     string // Mine, in the root
	tree     *carry.Tree
	chapters []carry.Chapter
	saying   sync.Mutex // guards out
	out      io.Writer  // what the commands have to say
}

// Open looks at the workbook in root. Its commands write to out. It fails if
// there is no chapter.
func Open(root string, rules carry.Rules, out io.Writer) (*Book, error) {
	tree, err := carry.Load(root, rules)
	if err != nil {
		return nil, err
	}
	b := &Book{root: root, mine: filepath.Join(root, Mine), tree: tree, chapters: tree.Chapters(), out: out}
	if len(b.chapters) == 0 {
		return nil, fmt.Errorf("no chapter in %s", root)
	}
	return b, nil
}

// Chapter returns the chapter that a STEP on the command line of make means.
// The error says what is allowed; target is for its example.
func (b *Book) Chapter(target, step string) (carry.Chapter, error) {
	for _, c := range b.chapters {
		if step == strconv.Itoa(c.Number) {
			return c, nil
		}
	}
	first, last := b.chapters[0].Number, b.last().Number
	wrong := fmt.Sprintf("there is no chapter STEP=%s", step)
	if step == "" {
		wrong = "STEP is missing"
	}
	return carry.Chapter{}, fmt.Errorf("%s: it is a number from %d to %d, as in `make %s STEP=%d`",
		wrong, first, last, target, min(first+2, last))
}

func (b *Book) last() carry.Chapter { return b.chapters[len(b.chapters)-1] }

// open reports whether the chapter's own solution is missing, because it is the
// one that a class is to work on.
func (b *Book) open(c carry.Chapter) bool {
	return !b.tree.FinalIsThere() && c.Number == b.last().Number
}

// wantProgram returns an error if the reader has no program yet.
func (b *Book) wantProgram(c carry.Chapter) error {
	sources, err := sources(b.mine)
	if len(sources) == 0 {
		err = cmp.Or(err, errors.New("no Go file there"))
	}
	if errors.Is(err, os.ErrNotExist) {
		err = errors.New("no such directory")
	}
	if err != nil {
		return fmt.Errorf("your program is to be in %s (%w): begin with `make begin STEP=%d`", Mine, err, c.Number)
	}
	return nil
}

func (b *Book) say(format string, args ...any) {
	b.saying.Lock()
	defer b.saying.Unlock()
	fmt.Fprintf(b.out, format, args...)
}
