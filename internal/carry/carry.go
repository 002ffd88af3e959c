// Package carry keeps the steps from drifting apart. Every step directory is
// complete in itself, so a file that one chapter introduces is there again in
// each later one, and in final. This package copies those files forward, says
// where they differ, and counts how many lines each chapter adds.
package carry

import (
	"cmp"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// finalDir comes after the last step. It is a library there, so its copies
// have another package clause.
const (
	finalDir     = "final"
	finalPackage = "rpc"
)

var (
	stepName = regexp.MustCompile(`^step([0-9]+)-`)
	specName = regexp.MustCompile(`^spec[0-9]+_test\.go$`)
)

// A Tree is the workbook on disk: its steps in reading order.
type Tree struct {
	root  string
	rules Rules
	steps []step
}

// A step is one directory of the workbook.
type step struct {
	dir    string
	number int             // of the chapter; final comes after all of them
	files  map[string]bool // names of its .go files
}

// Load looks at the steps in root. Chapters that are not written yet don't
// matter: the order comes from the numbers of those that are there.
func Load(root string, rules Rules) (*Tree, error) {
	t := &Tree{root: root, rules: rules}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("look for steps: %w", err)
	}

	for _, entry := range entries {
		number := math.MaxInt
		if m := stepName.FindStringSubmatch(entry.Name()); m != nil {
			number, _ = strconv.Atoi(m[1])
		} else if entry.Name() != finalDir {
			continue
		}
		if !entry.IsDir() {
			continue
		}

		paths, err := filepath.Glob(filepath.Join(root, entry.Name(), "*.go"))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", entry.Name(), err)
		}

		s := step{dir: entry.Name(), number: number, files: map[string]bool{}}
		for _, path := range paths {
			s.files[filepath.Base(path)] = true
		}
		t.steps = append(t.steps, s)
	}

	slices.SortFunc(t.steps, func(a, b step) int { return cmp.Compare(a.number, b.number) })
	for i := 1; i < len(t.steps); i++ {
		if a, b := t.steps[i-1], t.steps[i]; a.number == b.number {
			return nil, fmt.Errorf("%s and %s are both step %d", a.dir, b.dir, a.number)
		}
	}

	return t, nil
}

// moduleLine begins the go.mod of the workbook's main module. Those of tools
// and of the exercise, which lie below it, have another one.
const moduleLine = "module example.com/rpcworkbook\n"

// FindRoot returns the workbook's directory: the one at or above the working
// directory that has the go.mod of the main module.
func FindRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the workbook: %w", err)
	}

	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), moduleLine) {
			return dir, nil
		}

		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the workbook: its go.mod is neither here nor above")
		}
		dir = parent
	}
}

// carried reports whether a file of that name goes into every later step. The
// wiring (main.go, main_*.go) and ordinary tests belong to their step alone.
func carried(name string) bool {
	switch {
	case specName.MatchString(name):
		return true
	case strings.HasSuffix(name, "_test.go"), isMain(name):
		return false
	}
	return strings.HasSuffix(name, ".go")
}

func isMain(name string) bool {
	return name == "main.go" || strings.HasPrefix(name, "main_")
}

// A copied file is one that a step should hold, and where it comes from.
type copied struct {
	name     string
	from, to string // directories
}

// copies lists what every step should hold of the earlier ones, in the order
// of the steps.
func (t *Tree) copies() []copied {
	var all []copied
	source := map[string]string{} // file name to the directory it comes from

	for _, s := range t.steps {
		for _, name := range slices.Sorted(maps.Keys(source)) {
			if !t.rules.revised(s.dir, name) {
				all = append(all, copied{name: name, from: source[name], to: s.dir})
			}
		}

		for name := range s.files {
			if carried(name) && (source[name] == "" || t.rules.revised(s.dir, name)) {
				source[name] = s.dir
			}
		}
	}

	return all
}

// contents returns what the copy should be, and what is there: nil if nothing
// is.
func (t *Tree) contents(c copied) (want, got []byte, err error) {
	want, err = os.ReadFile(filepath.Join(t.root, c.from, c.name))
	if err != nil {
		return nil, nil, fmt.Errorf("read the file to carry: %w", err)
	}

	if c.to == finalDir {
		want, err = setPackage(want, finalPackage)
		if err != nil {
			return nil, nil, fmt.Errorf("carry %s from %s: %w", c.name, c.from, err)
		}
	}

	got, err = os.ReadFile(filepath.Join(t.root, c.to, c.name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the carried file: %w", err)
	}
	return want, got, nil
}

// Carry copies files forward from the steps that introduce them. It returns
// the paths it wrote, relative to the root, and never deletes anything.
func (t *Tree) Carry() (written []string, err error) {
	for _, c := range t.copies() {
		want, got, err := t.contents(c)
		if err != nil {
			return written, err
		}
		if got != nil && string(got) == string(want) {
			continue
		}

		path := filepath.Join(c.to, c.name)
		if err := os.WriteFile(filepath.Join(t.root, path), want, 0o644); err != nil {
			return written, fmt.Errorf("carry %s from %s: %w", c.name, c.from, err)
		}
		written = append(written, path)
	}

	return written, nil
}

// setPackage returns the source with another name in its package clause.
func setPackage(source []byte, name string) ([]byte, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", source, parser.PackageClauseOnly)
	if err != nil {
		return nil, fmt.Errorf("find the package clause: %w", err)
	}
	at := files.Position(parsed.Name.Pos()).Offset
	return slices.Concat(source[:at], []byte(name), source[at+len(parsed.Name.Name):]), nil
}
