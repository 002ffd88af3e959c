// Running the tests: each alone at first, and then those that could notice a
// mutant.

package mutate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.com/rpcworkbook/internal/proc"
)

const (
	quick    = 500 * time.Millisecond // tests up to here run before others
	patience = 10 * time.Second       // in addition to some times the usual
	slower   = 5
	memory   = 2 << 20 // KiB of data that each process may have
)

// A test is one that can be run alone: one of package testing, or a milestone.
type test struct {
	Name      string
	Milestone bool
	Took      time.Duration
	Reached   []int // mutants
}

// reconnoitre runs each test alone and returns what it reaches.
func (l *lab) reconnoitre(ctx context.Context, s Subject) ([]test, error) {
	list := exec.CommandContext(ctx, l.bin, "-test.list", ".")
	list.Dir = l.dir
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests: %w", err)
	}

	var tests []test
	for name := range strings.FieldsSeq(string(output)) {
		if !strings.HasPrefix(name, "Benchmark") && !strings.HasPrefix(name, "TestSpec") {
			tests = append(tests, test{Name: name})
		}
	}
	for _, number := range s.Milestones {
		tests = append(tests, test{Name: number, Milestone: true})
	}

	p := newProgress(s.Tell, len(tests), "tests run without a mutant")
	defer p.end()
	return tests, each(ctx, s.Jobs, len(tests), func(ctx context.Context, i int) error {
		defer p.step("")
		return l.lookAt(ctx, s, &tests[i])
	})
}

// lookAt runs a test without any mutant and takes down what it reaches. One
// that is red gets a second chance: the machine may be busy.
func (l *lab) lookAt(ctx context.Context, s Subject, t *test) error {
	var o outcome
	for range 2 {
		notes := make([]byte, len(l.mutants)+1)
		var err error
		o, err = l.run(ctx, []test{*t}, s.Spec, 0, 5*time.Minute, notes)
		if err != nil {
			return err
		}
		if !o.green {
			continue
		}

		t.Took = o.took
		for id, there := range notes {
			if there != 0 {
				t.Reached = append(t.Reached, id)
			}
		}
		return nil
	}
	return fmt.Errorf("%s is red without any mutant:\n%s", t.Name, o.output)
}

// testAll tests the mutants of which nothing is known yet.
func (l *lab) testAll(ctx context.Context, s Subject, mutants []Mutant, log *results) error {
	left := slices.DeleteFunc(slices.Clone(mutants), func(m Mutant) bool { return log.of[m.ID].Fate != "" })
	var noticed atomic.Int64
	p := newProgress(s.Tell, len(left), "mutants tested")
	defer p.end()
	return each(ctx, s.Jobs, len(left), func(ctx context.Context, i int) error {
		r, err := l.test(ctx, s, left[i], log.Tests)
		if err != nil {
			return err
		}
		if r.Fate == killed {
			noticed.Add(1)
		}
		p.step(fmt.Sprintf(", %d of them noticed", noticed.Load()))
		return log.add(r)
	})
}

// test returns what came of a mutant.
func (l *lab) test(ctx context.Context, s Subject, m Mutant, tests []test) (result, error) {
	r := result{ID: m.ID, Fate: unreached}
	stages := make([][]test, 4)
	for _, t := range tests {
		if _, ok := slices.BinarySearch(t.Reached, m.ID); ok {
			r.Fate = survived
			i := 0
			if t.Milestone {
				i = 2
			}
			if t.Took > quick {
				i++
			}
			stages[i] = append(stages[i], t)
		}
	}

	for _, stage := range stages {
		if len(stage) == 0 {
			continue
		}
		limit := patience
		for _, t := range stage {
			limit += slower * t.Took
		}
		run, err := l.run(ctx, stage, s.Spec, m.ID, limit, nil)
		if err != nil {
			return r, err
		}
		if !run.green {
			r.Fate, r.By = killed, run.first()
			break
		}
	}
	return r, nil
}

// An outcome is what came of one test process.
type outcome struct {
	green  bool
	took   time.Duration
	output string
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// first returns the first test that is red, or how the process ended.
func (o outcome) first() string {
	all := failure.FindAllStringSubmatch(o.output, -1)
	if len(all) == 0 {
		line, _, _ := strings.Cut(strings.TrimSpace(o.output), "\n")
		return line
	}
	name := all[0][1]
	for _, m := range all { // a milestone is listed below its specification
		if strings.HasPrefix(m[1], name+"/") {
			name = m[1]
		}
	}
	return name
}

// run runs tests of one kind in one process, with the mutant of that ID awake,
// up to the first red one. Nothing is left of the processes when it returns.
// The notes, if there are any, become 1 for each mutant that is reached.
func (l *lab) run(
	ctx context.Context, tests []test, spec string, id int, limit time.Duration, notes []byte,
) (o outcome, err error) {
	temp, err := os.MkdirTemp(filepath.Dir(l.bin), "run-")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()

	var names []string
	for _, t := range tests {
		names = append(names, regexp.QuoteMeta(t.Name))
	}
	pattern := "^(" + strings.Join(names, "|") + ")$"
	if tests[0].Milestone {
		pattern = "^" + spec + "$/^(" + strings.Join(names, "|") + ")_"
	}

	args := []string{"-c", fmt.Sprintf(`ulimit -c 0; ulimit -d %d; exec "$@"`, memory), "sh", l.bin,
		"-test.run=" + pattern, "-test.failfast", "-test.timeout=" + limit.String(), "-built=" + l.program}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = l.dir
	mark := proc.NewMark()
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, fmt.Sprintf("%s=%d", chosen, id), mark)
	noted := filepath.Join(temp, "notes")
	if notes != nil {
		cmd.Env = append(cmd.Env, reached+"="+noted)
		if err := os.WriteFile(noted, notes, 0o600); err != nil {
			return o, err
		}
	}

	printed, err := os.Create(filepath.Join(temp, "printed"))
	if err != nil {
		return o, err
	}
	defer printed.Close()
	cmd.Stdout, cmd.Stderr = printed, printed

	began := time.Now()
	group, err := proc.Start(cmd)
	if err != nil {
		return o, err
	}
	select {
	case <-group.Done():
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(limit + patience): // package testing should have ended it
	}
	o.took = time.Since(began)
	err = errors.Join(err, group.Kill(), proc.KillMarked(mark))
	if err != nil {
		return o, err
	}

	o.green = group.State() != nil && group.State().Success()
	if notes != nil {
		seen, err := os.ReadFile(noted)
		if err != nil {
			return o, err
		}
		copy(notes, seen)
	}
	o.output, err = tail(printed)
	return o, err
}

// tail returns the last of what was printed: a mutant may print without end.
func tail(file *os.File) (string, error) {
	const most = 64 << 10
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	text := make([]byte, min(most, info.Size()))
	n, err := file.ReadAt(text, info.Size()-int64(len(text)))
	return string(bytes.ToValidUTF8(text[:n], nil)), err
}
