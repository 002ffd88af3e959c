// Package broken holds programs that are wrong in one way each, in a way in
// which real people get it wrong. They test the specifications: a golden file
// says which milestones a program fails, and how the first one says so.
//
// A broken program is a step's own program with one mistake put in, so it is
// right in all other ways. Nothing is copied: the mistake is laid over the
// step's sources while it is built.
package broken

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Program is a step's program with a mistake in it.
type Program struct {
	Name    string // of its golden file
	Mistake string // what people do, or leave out: the end of a sentence that begins with "It"
	Step    string // the directory whose sources have the mistake
	Spec    int    // the specification that it is held against, one of Step's
	Edits   []Edit // the mistake

	// Files, if set, is a directory whose files stand in the place of those of
	// that name in the step, and Without are files of the step that are left
	// out: a whole first version, before it is edited.
	Files   string
	Without []string

	// Command, if set, stands in the place of Edits: the program of another
	// directory, and its arguments. It is right by its own specification, which
	// asks for less.
	Command, Args string

	// Quick, if set, are the milestones that an ordinary run of the tests asks:
	// those that fail, and neighbours that pass. Why says why not all of them.
	Quick []string
	Why   string

	// Sometimes are milestones that the program may pass or fail, Varies are
	// the fields of the first report that say another thing each time, and By
	// is the chance that decides.
	Sometimes []string
	Varies    []string
	By        string

	// Processes is how many test processes share the milestones; 0 means 1.
	Processes int
}

// An Edit replaces a text, which is there exactly once, in a file of the step.
type Edit struct{ File, Old, New string }

// Programs returns all of them, in the order of the chapters.
func Programs() []Program {
	var all []Program
	for _, some := range [][]Program{wire, processes, discovery, client} {
		all = append(all, some...)
	}
	return all
}

// Overlay writes what go build -overlay needs to build the program from the
// module in root into dir: the changed files, and overlay.json, whose path it
// returns. An edit whose text isn't in the step's file any more is an error.
func (p Program) Overlay(root, dir string) (path string, err error) {
	replace, err := p.files(root)
	if err != nil {
		return "", fmt.Errorf("put the mistake %s in: %w", p.Name, err)
	}

	for _, edit := range p.Edits {
		original := filepath.Join(root, p.Step, edit.File)
		from := original
		if changed, again := replace[original]; again {
			from = changed
		}
		replace[original] = filepath.Join(dir, edit.File)

		text, err := os.ReadFile(from)
		if err != nil {
			return "", fmt.Errorf("put the mistake %s in: %w", p.Name, err)
		}
		if n := strings.Count(string(text), edit.Old); n != 1 {
			return "", fmt.Errorf("put the mistake %s in: %s has the text below %d times, not once. "+
				"Bring the edit in tools/broken in line with the file.\n%s",
				p.Name, filepath.Join(p.Step, edit.File), n, edit.Old)
		}
		text = []byte(strings.Replace(string(text), edit.Old, edit.New, 1))
		if err := os.WriteFile(replace[original], text, 0o600); err != nil {
			return "", fmt.Errorf("put the mistake %s in: %w", p.Name, err)
		}
	}

	path = filepath.Join(dir, "overlay.json")
	content, _ := json.Marshal(map[string]any{"Replace": replace}) // strings never fail
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", fmt.Errorf("put the mistake %s in: %w", p.Name, err)
	}
	return path, nil
}

// files returns which files stand in the place of which others, by path, before
// any edit; "" in the place of one that is left out.
func (p Program) files(root string) (replace map[string]string, err error) {
	replace = map[string]string{}
	for _, name := range p.Without {
		replace[filepath.Join(root, p.Step, name)] = ""
	}
	if p.Files == "" {
		return replace, nil
	}

	dir := filepath.Join(root, "tools", "broken", p.Files)
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		replace[filepath.Join(root, p.Step, entry.Name())] = filepath.Join(dir, entry.Name())
	}
	return replace, err
}
