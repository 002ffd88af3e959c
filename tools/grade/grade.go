// Package grade asks the specification of one chapter of all programs that a
// class has handed in, and writes what came of it: for the teacher a table, for
// each student a page with the reports and a picture of the first failure, and
// files for the machines that want them. `make grade` is its command;
// TEACHING.md says how to use it.
//
// Programs are hostile until they have ended. Each is copied and built, and
// then asked in a pen (pen.go) that bounds its time, its processes, its memory
// and its files, and that keeps it from everything else.
//
// Class.Grade in this file is where to start reading. A submission is found and
// understood in submission.go, copied in copy.go, built in build.go, and asked
// in ask.go. What came of it is a Result, which all the outputs are made of.
package grade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/chapter"
	"example.com/rpcworkbook/internal/proc"
)

// A Class says what is graded, and how.
type Class struct {
	Book *chapter.Book
	Root string // the directory of the workbook

	Step    string        // the number of the chapter that the class works on
	Earlier bool          // ask for the chapters before it, too
	From    string        // a directory with a directory for each student
	Out     string        // the directory for what came of it
	Jobs    int           // how many submissions are asked at a time
	Limit   time.Duration // how long one may take, its build included

	Weights string    // a file that says what milestones are worth; it may be missing
	Say     io.Writer // for progress

	pen *pen // nil: what can be had
}

// A grader is a run.
type grader struct {
	*Class
	test     *test
	progress *progress
	dir      string // for copies
}

// Grade asks all submissions, writes the results and returns them, by name.
// What an earlier run into the same directory has asked already is not asked
// again, unless the submission, the specification or the limits have changed. A
// submission that fails, in whatever way, is no error. Grade blocks until all
// is done or ctx ends; then nothing that it has started is left, and the
// results so far are kept for the next run. Whoever calls it calls Inside first
// and proc.End last.
func (c *Class) Grade(ctx context.Context) ([]*Result, error) {
	for _, dir := range []*string{&c.Root, &c.From, &c.Out} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, err
		}
		*dir = abs
	}
	submissions, err := find(c.From)
	if err != nil {
		return nil, err
	}
	temp, err := proc.TempDir()
	if err != nil {
		return nil, err
	}
	t, err := c.compile(ctx, temp)
	if err != nil {
		return nil, err
	}

	if c.pen == nil {
		c.pen = newPen(usual, c.Root, c.From, c.Out)
	}
	g := &grader{Class: c, test: t, dir: temp, progress: newProgress(c.Say, len(submissions))}
	for _, missing := range g.pen.missing {
		fmt.Fprintln(c.Say, missing)
	}
	results, err := g.all(ctx, submissions)
	if err != nil {
		return nil, err
	}
	return results, c.write(results)
}

// all grades the submissions, so many at a time as there are jobs.
func (g *grader) all(ctx context.Context, submissions []submission) ([]*Result, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results := make([]*Result, len(submissions))
	next := make(chan int)
	var failures sync.Map // by number of the submission
	var workers sync.WaitGroup

	for slot := range max(1, g.Jobs) {
		workers.Go(func() {
			for i := range next {
				r, err := g.one(ctx, submissions[i], slot)
				if err != nil {
					failures.Store(i, err)
					stop() // what is wrong is not the submission
				}
				results[i] = r
			}
		})
	}
	for i := range submissions {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	g.progress.end()

	for i := range submissions {
		if err, ok := failures.Load(i); ok {
			return nil, fmt.Errorf("grade %s: %w", submissions[i].who, err.(error))
		}
	}
	return results, ctx.Err()
}

// one grades one submission, or finds the result of an earlier run.
func (g *grader) one(ctx context.Context, s submission, slot int) (*Result, error) {
	began := time.Now()
	copied := filepath.Join(g.dir, fmt.Sprint("slot", slot), "submission")
	defer os.RemoveAll(filepath.Dir(copied))

	r := &Result{Who: s.who}
	err := copyTree(s.dir, copied)
	if err != nil {
		r.Problem = "it can't be copied: " + err.Error()
	} else {
		r.Digest, err = digest(copied, fmt.Sprint(g.test.digest, g.Step, g.Earlier, g.Limit))
		if err != nil {
			return nil, err
		}
		old, err := load(g.Out, s.who, r.Digest)
		if err != nil {
			return nil, err
		}
		if old != nil {
			g.progress.finish(old, true)
			return old, nil
		}
	}

	g.progress.begin(s.who)
	within, stop := context.WithTimeout(ctx, g.Limit)
	defer stop()
	if r.Problem == "" {
		err = g.ask(within, &s, copied, slot, r)
	}
	switch {
	case ctx.Err() != nil:
		return nil, nil // half a result is none
	case err != nil:
		return nil, err
	}

	r.Took = time.Since(began)
	r.fill(g.test)
	g.progress.finish(r, false)
	return r, r.save(g.Out)
}

// ask finds out what the submission is, builds it and asks it.
func (g *grader) ask(ctx context.Context, s *submission, copied string, slot int, r *Result) (err error) {
	err = s.look(copied)
	if err != nil {
		r.Problem = err.Error()
		return nil
	}

	bin := ""
	if s.command == "" {
		bin, err = g.build(ctx, copied, s.program)
		if err != nil {
			r.Problem = err.Error()
			return nil
		}
	}

	a := &asking{pen: g.pen, test: g.test, copied: copied, slot: slot, limit: g.Limit,
		tell: func(number string) { g.progress.asks(s.who, number) }}
	a.flags, err = g.flags(s, a, bin)
	if err != nil {
		r.Problem = err.Error()
		return nil
	}
	r.Verdicts, r.Problem, err = a.all(ctx)
	return err
}

// flags returns those of the specification that name the program.
func (g *grader) flags(s *submission, a *asking, bin string) ([]string, error) {
	flags := []string{"-again=make try STEP=" + g.Step + " ONLY=", fmt.Sprint("-user=", g.pen.user(a.slot))}
	if s.command == "" {
		return append(flags, "-program="+g.pen.inside(a, bin)), nil
	}

	flags = append(flags, "-in="+g.pen.inside(a, filepath.Join(a.copied, s.program)))
	switch {
	case s.client != "":
		flags = append(flags, "-server="+s.command, "-client="+s.client)
	case g.Step == "6":
		return nil, errors.New("chapter 6 has a client, too: " +
			"the line that starts it belongs into a file " + clientFile)
	default:
		flags = append(flags, "-program="+s.command)
	}
	return flags, nil
}

// fill adds the milestones that could not be asked at all, and keeps of the
// pictures the first one.
func (r *Result) fill(t *test) {
	asked := map[string]bool{}
	for _, v := range r.Verdicts {
		asked[v.Number] = true
	}
	for _, s := range t.asked {
		for _, m := range s.milestones {
			if !asked[m.Number] {
				r.Verdicts = append(r.Verdicts, Verdict{Number: m.Number, Sentence: m.Sentence, Status: Unreached})
			}
		}
	}
	r.Problem = strings.TrimSpace(r.Problem)

	pictured := false
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if pictured {
			v.Picture = ""
		}
		pictured = pictured || v.Picture != ""
	}
}
