// Package mutate breaks a chapter's program in many simple ways, one at a time,
// and runs the chapter's tests each time. What no test notices is listed: a
// test is missing there, or the code is not needed, or it makes no difference.
// `make mutate` is its command.
//
// All ways to break the program, its mutants, are put into one build of it and
// of its tests, and a variable of the environment chooses (schema.go). First
// each test runs alone and leaves a note of the mutants that it reaches; so a
// mutant costs only a run of the tests that could notice it, up to the first
// that does.
//
// Begin with Run; find.go has the list of what is broken.
package mutate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/tools/go/packages"

	"example.com/rpcworkbook/internal/proc"
)

// A Subject says whose tests are tested, and how.
type Subject struct {
	Dir        string   // of the package, which is a program
	Files      []string // to break
	Spec       string   // the test that has the milestones, such as "TestSpec6"; "" if none has
	Milestones []string // their numbers

	Jobs    int       // how many mutants are tested at a time
	Sample  int       // how many mutants to test, spread evenly; 0: all
	Results string    // a file; it holds what came of each mutant, so that a run goes on where one ended
	Say     io.Writer // for the list of survivors
	Tell    io.Writer // for the progress
}

// Run tests the subject's tests. It blocks for as long as that takes, hours for
// a long chapter; when ctx ends, everything that it started is stopped, and the
// error is ctx's. It fails if a test is red without any mutant.
func (s Subject) Run(ctx context.Context) error {
	l, err := s.build(ctx)
	if err != nil {
		return err
	}
	if len(l.mutants) == 0 {
		return errors.New("nothing to break in " + strings.Join(s.Files, ", "))
	}

	log, err := openResults(s.Results, l.sum)
	if err != nil {
		return err
	}
	defer log.Close()
	if log.Tests == nil {
		tests, err := l.reconnoitre(ctx, s)
		if err != nil {
			return err
		}
		if err := log.begin(tests); err != nil {
			return err
		}
	}

	sample := l.mutants
	if s.Sample > 0 && s.Sample < len(sample) {
		sample = nil
		for i := range s.Sample {
			sample = append(sample, l.mutants[i*len(l.mutants)/s.Sample])
		}
	}

	if err := l.testAll(ctx, s, sample, log); err != nil {
		return err
	}
	log.list(s.Say, filepath.Base(s.Dir), sample)
	return nil
}

// A lab is the subject, built with all its mutants.
type lab struct {
	dir     string // of the package
	mutants []Mutant
	sum     string // tells this program, and its tests, from any other

	bin, program string // the tests, and the program that they start
	notes        string // a file as schema.go's reached, empty
}

// build finds the mutants and builds the subject with all of them.
func (s Subject) build(ctx context.Context) (*lab, error) {
	pkg, err := load(ctx, s.Dir)
	if err != nil {
		return nil, err
	}
	all, err := proc.TempDir()
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(all, "lab-")
	if err != nil {
		return nil, err
	}

	l := &lab{dir: s.Dir, bin: filepath.Join(temp, "tests"), program: filepath.Join(temp, filepath.Base(s.Dir))}
	helpersFile := filepath.Join(temp, "helpers.go")
	replace := map[string]string{filepath.Join(s.Dir, "mutants_helpers.go"): helpersFile}
	if err := os.WriteFile(helpersFile, []byte(helpers), 0o600); err != nil {
		return nil, err
	}

	for _, name := range s.Files {
		path := filepath.Join(s.Dir, name)
		i := slices.Index(pkg.CompiledGoFiles, path)
		if i < 0 {
			return nil, fmt.Errorf("no file %s is compiled here", path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}

		f := &finder{pkg: pkg, name: name, text: text, file: pkg.Syntax[i], first: len(l.mutants) + 1}
		f.find()
		l.mutants = append(l.mutants, f.found...)
		replace[path] = filepath.Join(temp, name)
		if err := os.WriteFile(replace[path], apply(text, f.edits), 0o600); err != nil {
			return nil, err
		}
	}

	l.sum, err = sum(s.Dir, l.mutants)
	if err != nil {
		return nil, err
	}
	return l, l.compile(ctx, temp, replace)
}

// load reads and checks a package.
func load(ctx context.Context, dir string) (*packages.Package, error) {
	config := &packages.Config{Context: ctx, Dir: dir, Mode: packages.NeedName | packages.NeedCompiledGoFiles |
		packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo}
	found, err := packages.Load(config, ".")
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", dir, err)
	}
	if pkg := found[0]; len(pkg.Errors) > 0 {
		return nil, fmt.Errorf("look at %s: %w", dir, pkg.Errors[0])
	}
	return found[0], nil
}

// sum tells the package's files, and the way in which they are broken, from all
// others.
func sum(dir string, mutants []Mutant) (string, error) {
	hash := sha256.New()
	for _, m := range mutants {
		fmt.Fprintln(hash, m)
	}

	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", path, len(text), text)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// compile builds the tests and the program.
func (l *lab) compile(ctx context.Context, temp string, replace map[string]string) error {
	content, _ := json.Marshal(map[string]any{"Replace": replace}) // strings never fail
	overlay := filepath.Join(temp, "overlay.json")
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		return err
	}
	l.notes = filepath.Join(temp, "notes")
	if err := os.WriteFile(l.notes, make([]byte, len(l.mutants)+1), 0o600); err != nil {
		return err
	}

	for _, args := range [][]string{{"test", "-c", "-vet=off", "-o", l.bin}, {"build", "-o", l.program}} {
		cmd := exec.CommandContext(ctx, "go", append(args, "-overlay", overlay, ".")...)
		cmd.Dir = l.dir
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s with its mutants: %w\n%s", l.dir, err, output)
		}
	}
	return nil
}

// each calls do for each of n numbers, on as many goroutines as there are jobs,
// until one fails.
func each(ctx context.Context, jobs, n int, do func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan int)
	var wait sync.WaitGroup
	for range jobs {
		wait.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					stop(err)
				}
			}
		})
	}

	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wait.Wait()
	return context.Cause(ctx)
}
