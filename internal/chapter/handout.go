// make handout: what a class gets that is to work on a chapter.

package chapter

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"example.com/rpcworkbook/internal/carry"
)

// What a handout needs of the workbook's tools: the targets of its Makefile.
// They bring the packages that they import.
var tools = []string{
	"internal/carry/cmd/carry", "internal/chapter/cmd/chapter", "internal/zkdev/cmd/zookeeper",
	"internal/play/cmd/play",
}

// The module's path, as imports begin.
const module = "example.com/rpcworkbook"

// The one package of the tools whose tests are of use: they are the gate.
const gate = "internal/carry"

// Handout writes a repository for a class that is to work on the chapter: the
// chapters before it, complete; of this one the specification, and as sources
// what Begin gives; the tools. No other file of the workbook is in it, so no
// solution either. out is the directory, which must not exist or be empty.
func (b *Book) Handout(c carry.Chapter, out string) error {
	if !b.tree.FinalIsThere() {
		return errors.New("this is a handout itself: make others from the whole workbook")
	}
	root, err := emptyDir(out)
	if err != nil {
		return err
	}
	defer root.Close()

	h := &handout{b: b, root: root, wanted: map[string]bool{}, there: map[string]bool{}, texts: map[string]string{}}
	for _, before := range b.chapters {
		if before.Number < c.Number {
			h.complete(before.Dir)
		}
	}

	h.begun(c)
	for _, tool := range tools {
		h.tool(tool)
	}
	for _, name := range []string{"AGENTS.md", "Makefile", "LICENSE", ".gitignore", "go.mod", "go.sum"} {
		h.copy(name, name)
	}
	h.all("pictures")
	h.all("docs")
	h.readme(c)
	h.writeTexts()

	if h.err != nil {
		return fmt.Errorf("write the handout: %w", h.err)
	}

	b.say("Chapter %d for a class is in %s: %d files.\n", c.Number, out, h.files)
	if err := commit(out, fmt.Sprintf("Chapter %d: what we start from", c.Number)); errors.Is(err, exec.ErrNotFound) {
		b.say("There is no git here, so it isn't a repository yet.\n")
	} else if err != nil {
		return fmt.Errorf("make a repository of the handout: %w", err)
	}
	return nil
}

// emptyDir opens the directory to write to.
func emptyDir(out string) (*os.Root, error) {
	const rule = "it is the directory to write, new or empty, as in `make handout STEP=3 OUT=../chapter3`"
	switch {
	case out == "":
		return nil, fmt.Errorf("OUT is missing: %s", rule)
	case strings.HasPrefix(out, "~"): // a directory of that name would be a trap
		return nil, fmt.Errorf("your shell doesn't expand the ~ in OUT=%s: write the whole path", out)
	}

	entries, err := os.ReadDir(out)
	if err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("OUT=%s is not empty: %s", out, rule)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look into OUT=%s: %w; %s", out, err, rule)
	}

	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, fmt.Errorf("make OUT=%s: %w", out, err)
	}
	root, err := os.OpenRoot(out)
	if err != nil {
		return nil, fmt.Errorf("open OUT=%s: %w", out, err)
	}
	return root, nil
}

// A handout is one being written. After an error its methods do nothing.
type handout struct {
	b    *Book
	root *os.Root // nothing is written outside

	// What has been taken.
	wanted map[string]bool   // packages, by directory
	there  map[string]bool   // files, and their directories
	texts  map[string]string // files that are still to be written, by path
	files  int

	err error
}

// complete takes a chapter with its solution and all its tests.
func (h *handout) complete(dir string) {
	h.fail(filepath.WalkDir(filepath.Join(h.b.root, dir), func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		rel, err := filepath.Rel(h.b.root, p)
		rel = filepath.ToSlash(rel)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name[0] == '.' || name[0] == '_'):
			return fs.SkipDir
		case !entry.Type().IsRegular() || name[0] == '.':
		case slices.Contains([]string{".go", ".md", ".svg"}, path.Ext(name)) || strings.Contains(rel, "/testdata/"):
			h.copy(rel, rel)
		}
		return nil
	}))
}

var specification = regexp.MustCompile(`^(spec[0-9]+|program)_test\.go$`)

// begun takes a chapter as Begin gives it, with its specification, and with the
// tests that its text offers.
func (h *handout) begun(c carry.Chapter) {
	start, err := h.b.start(c)
	h.fail(err)
	for _, name := range slices.Sorted(maps.Keys(start)) {
		h.write(path.Join(c.Dir, name), []byte(start[name]))
	}

	entries, err := os.ReadDir(filepath.Join(h.b.root, c.Dir))
	h.fail(err)
	for _, entry := range entries {
		if specification.MatchString(entry.Name()) || path.Ext(entry.Name()) == ".svg" { // the text's drawings
			h.copy(path.Join(c.Dir, entry.Name()), path.Join(c.Dir, entry.Name()))
		}
	}

	for _, name := range append(c.Given, "README.md") {
		h.copy(path.Join(c.Dir, name), path.Join(c.Dir, name))
	}

	laid, err := h.b.stubs(c)
	h.fail(err)
	_, tests, err := h.b.text(c)
	h.fail(err)
	for _, name := range slices.Sorted(maps.Keys(laid)) {
		h.write(path.Join(c.Dir, name), []byte(laid[name]))
	}
	for _, name := range tests {
		h.copy(path.Join(c.Dir, name), path.Join(c.Dir, name))
	}
}

// tool takes a package without its tests: they would try what isn't here.
func (h *handout) tool(dir string) {
	if h.wanted[dir] {
		return
	}
	h.wanted[dir] = true
	entries, err := os.ReadDir(filepath.Join(h.b.root, dir))
	h.fail(err)
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		if entry.Type().IsRegular() && (dir == gate || !strings.HasSuffix(name, "_test.go")) {
			h.copy(name, name)
		}
	}
}

// copy takes a file, and the packages of this module that it imports.
func (h *handout) copy(from, to string) {
	if h.err != nil {
		return
	}

	text, err := os.ReadFile(filepath.Join(h.b.root, from))
	h.fail(err)
	h.write(to, text)
	if path.Ext(from) != ".go" || h.err != nil {
		return
	}

	file, err := parser.ParseFile(token.NewFileSet(), from, text, parser.ImportsOnly)
	if err != nil {
		h.fail(err)
		return
	}

	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if dir, ok := strings.CutPrefix(imported, module+"/"); !ok {
			continue
		} else if strings.HasPrefix(dir, "internal/") {
			h.tool(dir)
		} else {
			h.fail(fmt.Errorf("%s imports %s, which a class must not get", from, imported))
		}
	}
}

// all takes the files of a directory.
func (h *handout) all(dir string) {
	entries, err := os.ReadDir(filepath.Join(h.b.root, dir))
	h.fail(err)
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		h.copy(name, name)
	}
}

// write writes a file. One that is a text waits until it is known which files
// its links may lead to.
func (h *handout) write(name string, content []byte) {
	if h.err != nil {
		return
	}

	for there := name; !h.there[there]; there = path.Dir(there) {
		h.there[there] = true
	}
	h.files++
	if path.Ext(name) == ".md" {
		h.texts[name] = string(content)
		return
	}

	h.fail(h.root.MkdirAll(path.Dir(name), 0o755))
	h.fail(h.root.WriteFile(name, content, 0o644))
}

// writeTexts writes the texts that have been taken.
func (h *handout) writeTexts() {
	for name, text := range h.texts {
		text, err := forClass(name, text, func(name string) bool { return h.there[name] })
		h.fail(err)
		h.fail(h.root.MkdirAll(path.Dir(name), 0o755))
		h.fail(h.root.WriteFile(name, []byte(text), 0o644))
	}
}

func (h *handout) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

// readme takes the workbook's, and says on top of it what this is.
func (h *handout) readme(c carry.Chapter) {
	text, err := os.ReadFile(filepath.Join(h.b.root, "README.md"))
	h.fail(err)

	title, rest, _ := strings.Cut(string(text), "\n")
	before := "The chapters before it are complete."
	if c.Before == "" {
		before = "It is the first."
	}

	h.write("README.md", []byte(fmt.Sprintf(`%s

**This is a handout: chapter %d, [%[3]s](%[3]s/README.md), is yours to write.** %s
`+"`%[3]s`"+` holds what you start from, and the tests.
Work in `+"`_mine`"+`, with `+"`make begin STEP=%[2]d` and `make try STEP=%[2]d`"+`,
or in that directory itself, with `+"`go test ./%[3]s -run Spec%[2]d`"+`.
Where the pages name a later chapter or `+"`final`"+`, there is no link: those are not in a handout.
`+"`make compare`"+` shows our solution of a chapter once you have the handout of the next one.
%[5]s`, title, c.Number, c.Dir, before, rest)))
}

// commit makes a repository of the directory, with one commit.
func commit(dir, message string) error {
	if _, err := exec.LookPath("git"); err != nil {
		return err
	}

	for _, args := range [][]string{{"init", "-q"}, {"add", "-A", "-f"}, {"commit", "-q", "-m", message}} {
		// Whatever the user's configuration says, and if there is none.
		cmd := exec.Command("git", append([]string{
			"-c", "init.defaultBranch=main", "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false",
			"-c", "commit.gpgSign=false",
			"-c", "user.name=The workbook", "-c", "user.email=workbook@example.com",
		}, args...)...)
		cmd.Dir = dir
		for _, variable := range os.Environ() { // such as GIT_DIR in a hook: another repository's
			if !strings.HasPrefix(variable, "GIT_") {
				cmd.Env = append(cmd.Env, variable)
			}
		}

		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", args[0], err, output)
		}
	}
	return nil
}
