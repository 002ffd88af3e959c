// make begin: what the reader of a chapter starts from.

package chapter

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/rpcworkbook/internal/carry"
)

// Begin puts into the reader's directory what he starts the chapter with: the
// sources of the step before, what this one gives him, and stubs of what he is
// to write. A file that is there stays as it is. It says what it did, what he
// is to write, and what comes next.
func (b *Book) Begin(c carry.Chapter) error {
	if err := os.MkdirAll(b.mine, 0o755); err != nil {
		return fmt.Errorf("make the directory for your program: %w", err)
	}

	b.say("Chapter %d, %s. Your program is in %s.\n\n", c.Number, c.Dir, Mine)
	start, err := b.start(c)
	if err != nil {
		return err
	}
	copied, kept, err := b.hand(c.Before, start)
	b.list("copied", copied, "of "+c.Before)
	if err != nil {
		return err
	}

	var given []string
	for _, name := range c.Given { // one by one: each is useful without the others
		one, err := b.read(c.Dir, []string{name})
		if err != nil {
			return err
		}
		new, old, err := b.hand(c.Dir, one)
		if err != nil {
			return err
		}
		given, kept = append(given, new...), append(kept, old...)
	}

	begun, laid, err := b.lay(c)
	if err != nil {
		return err
	}

	b.list("given", given, "of "+c.Dir)
	b.list("stubs", laid, "to write in")
	b.list("kept", append(kept, begun...), "that you have")
	b.field("you write", "%s and main.go; see %s/README.md",
		strings.Join(slices.Concat(c.Write, c.Revise), ", "), c.Dir)
	b.field("then", "make try STEP=%d", c.Number)
	return nil
}

// hand puts files into the reader's directory, except for those that he has. It
// says so and puts none there if that would declare something twice: his
// program has another shape then than ours, that of the step in dir, and half
// of ours would only break it.
func (b *Book) hand(dir string, texts map[string]string) (copied, kept []string, err error) {
	clash, err := b.clash(dir, texts)
	if err != nil {
		return nil, nil, err
	}

	var missing []string
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if b.lacks(name) {
			missing = append(missing, name)
		} else {
			kept = append(kept, name)
		}
	}

	if clash != "" {
		b.list("left out", missing, "of "+dir+", because "+clash)
		return nil, kept, nil
	}

	for i, name := range missing {
		if err := b.writeNew(name, texts[name]); err != nil {
			return missing[:i], kept, err
		}
	}
	return missing, kept, nil
}

// clash says what would be declared twice if the files that the reader doesn't
// have were put beside those that he has; "" if nothing.
func (b *Book) clash(dir string, texts map[string]string) (string, error) {
	his, err := sources(b.mine)
	if err != nil {
		return "", err
	}

	where := map[string]string{} // what he declares that ours don't in the file of that name
	for _, file := range his {
		ours := declared(filepath.Join(b.root, dir, file))
		for name := range declared(filepath.Join(b.mine, file)) {
			if !ours[name] {
				where[name] = file
			}
		}
	}

	for _, file := range slices.Sorted(maps.Keys(texts)) {
		if slices.Contains(his, file) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(declaredIn(texts[file]))) {
			if where[name] != "" {
				return fmt.Sprintf("your %s has its own %s", where[name], name), nil
			}
		}
	}

	return "", nil
}

// writeNew writes a file into the reader's directory, where it must not exist.
func (b *Book) writeNew(name, text string) (err error) {
	file, err := os.OpenFile(filepath.Join(b.mine, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write a file of the chapter: %w", err)
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// field prints one line of a command's summary.
func (b *Book) field(name, format string, args ...any) {
	b.say("  %-10s %s\n", name, fmt.Sprintf(format, args...))
}

// list prints a line that names files, if there are any.
func (b *Book) list(name string, files []string, what string) {
	switch len(files) {
	case 0:
	case 1:
		b.field(name, "1 file %s: %s", what, files[0])
	default:
		b.field(name, "%d files %s: %s", len(files), what, strings.Join(files, ", "))
	}
}
