// make compare: how the reader's program differs from ours.

package chapter

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/diff"
)

// Compare prints what would make the reader's program the step's: the lines
// marked + are ours. Files that only one of them has are named. color marks the
// lines for a terminal, too.
func (b *Book) Compare(c carry.Chapter, color bool) error {
	if b.open(c) {
		return fmt.Errorf("there is nothing to compare with: "+
			"chapter %d is the one to work on, and its solution isn't here", c.Number)
	}
	if err := b.wantProgram(c); err != nil {
		return err
	}

	names := map[string]bool{}
	for _, dir := range []string{b.mine, filepath.Join(b.root, c.Dir)} {
		files, err := sources(dir)
		if err != nil {
			return fmt.Errorf("compare: %w", err)
		}
		for _, name := range files {
			// It says that Windows won't do, which is no part of any chapter.
			if name != "main_windows.go" {
				names[name] = true
			}
		}
	}

	same := true
	only := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		his, err := read(filepath.Join(b.mine, name))
		if err != nil {
			return err
		}
		ours, err := read(filepath.Join(b.root, c.Dir, name))
		if err != nil {
			return err
		}

		switch {
		case ours == nil:
			only[Mine] = append(only[Mine], name)
		case his == nil:
			only[c.Dir] = append(only[c.Dir], name)
		case bytes.Equal(his, ours):
			continue
		default:
			shown := diff.Named(Mine+"/"+name, c.Dir+"/"+name, string(his), string(ours))
			b.say("%s\n", paint(shown, color))
		}
		same = false
	}

	for _, dir := range []string{Mine, c.Dir} {
		if only[dir] != nil {
			b.say("only in %s: %s\n", dir, strings.Join(only[dir], ", "))
		}
	}

	if same {
		b.say("no difference: %s and %s are the same program\n", Mine, c.Dir)
	}
	return nil
}

// Unfinished warns a reader who is about to see our solution of a chapter while
// milestones of it are red, as far as is known from the last tries. It returns
// "" if none is known to be red, or if there is no solution to see.
func (b *Book) Unfinished(c carry.Chapter) (warning string, err error) {
	signs, err := b.progress()
	if err != nil || b.open(c) {
		return "", err
	}
	milestones, err := b.Milestones(c)
	if err != nil {
		return "", err
	}

	for _, m := range milestones {
		if signs[m.Number] == "✗" {
			return fmt.Sprintf("warning: milestone %s is still red, "+
				"and what follows is our solution of all of chapter %d", m.Number, c.Number), nil
		}
	}
	return "", nil
}

// read returns a file's contents, nil if there is no such file.
func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && text == nil {
		text = []byte{}
	}
	return text, err
}

// paint colours a diff as git does.
func paint(diff string, color bool) string {
	if !color {
		return diff
	}

	lines := strings.Split(diff, "\n")
	for i, line := range lines {
		code := map[byte]string{'-': "31", '+': "32", '@': "36"}[(line + " ")[0]]
		if i < 2 {
			code = "1" // the names
		}
		if code != "" {
			lines[i] = "\x1b[" + code + "m" + line + "\x1b[m"
		}
	}

	return strings.Join(lines, "\n")
}
