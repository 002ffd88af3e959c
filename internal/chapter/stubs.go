// Stubs: the files that a reader writes, as they are before he does.

package chapter

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/stubs"
)

// lay puts the stubs into the reader's directory. He gets none if he has begun
// to write, or if his program has another shape than ours: then what he has may
// not fit to them.
func (b *Book) lay(c carry.Chapter) (begun, laid []string, err error) {
	files, err := b.stubs(c)
	if err != nil {
		return nil, nil, err
	}

	begun = slices.DeleteFunc(slices.Sorted(maps.Keys(files)), b.lacks)
	if len(begun) > 0 || slices.ContainsFunc(slices.Concat(c.Start, c.Given), b.lacks) {
		return begun, nil, nil
	}
	laid, _, err = b.hand(c.Dir, files)
	return nil, laid, err
}

// lacks tells whether the reader has no file of that name.
func (b *Book) lacks(name string) bool {
	_, err := os.Lstat(filepath.Join(b.mine, name))
	return err != nil
}

// stubs returns the files of a chapter that its reader writes, with the names
// that its text, and tests that this offers, use, and nothing behind them. In
// the chapter that a class works on, they are the files that are there.
func (b *Book) stubs(c carry.Chapter) (map[string]string, error) {
	names := slices.Clone(c.Write)
	if c.Before == "" { // later chapters begin with the main.go of the one before
		names = append(names, "main.go")
	}
	files, err := b.read(c.Dir, names)
	if err != nil || b.open(c) {
		return files, err
	}

	used, err := b.used(c)
	if err != nil {
		return nil, err
	}
	taken := declared(filepath.Join(b.root, c.Before, "main.go"))
	if c.Before == "" {
		taken = nil
	}
	return stubs.Make(files, used, taken)
}

// used returns the names that a chapter's text, and the tests that this offers,
// use.
func (b *Book) used(c carry.Chapter) (map[string]bool, error) {
	text, tests, err := b.text(c)
	if err != nil {
		return nil, err
	}
	sources, err := b.read(c.Dir, tests)
	if err != nil {
		return nil, err
	}

	used := map[string]bool{}
	stubs.InText(used, text)
	for _, source := range sources {
		stubs.InGo(used, source)
	}
	return used, nil
}

// start returns the files of the step before that a reader starts with. To its
// main.go, stubs are added of what he will write there.
func (b *Book) start(c carry.Chapter) (map[string]string, error) {
	files, err := b.read(c.Before, c.Start)
	if err != nil || files["main.go"] == "" {
		return files, err
	}
	main, err := b.read(c.Dir, []string{"main.go"})
	if err != nil {
		return nil, err
	}
	if b.open(c) { // that is what this file is
		files["main.go"] = main["main.go"]
		return files, nil
	}

	used, err := b.used(c)
	if err != nil {
		return nil, err
	}
	files["main.go"], err = stubs.Extend(files["main.go"], main["main.go"], used, declaredIn(files["main.go"]))
	return files, err
}

// text returns the text of a chapter, and the tests that it offers to its
// reader: the step's own, which look inside.
func (b *Book) text(c carry.Chapter) (text string, tests []string, err error) {
	content, err := os.ReadFile(filepath.Join(b.root, c.Dir, "README.md"))
	if err != nil {
		return "", nil, fmt.Errorf("read the chapter: %w", err)
	}

	text = string(content)
	for _, name := range stubs.Tests(text) {
		_, err := os.Stat(filepath.Join(b.root, c.Dir, name))
		if err == nil && !specification.MatchString(name) && !slices.Contains(tests, name) {
			tests = append(tests, name)
		}
	}
	return text, tests, nil
}

// read returns the texts of a step's files, by name.
func (b *Book) read(dir string, names []string) (map[string]string, error) {
	texts := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(b.root, dir, name))
		if err != nil {
			return nil, fmt.Errorf("read a file of the chapter: %w", err)
		}
		texts[name] = string(text)
	}
	return texts, nil
}
