// Asking a program the milestones of a specification, whatever it does to the
// process that asks.

package grade

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/rpcworkbook/internal/chapter"
)

// lastMoment is added to the time that the specification is told: it gives up,
// with reports, when there are ten seconds left.
const lastMoment = 5 * time.Second

// An asking is one submission under test. Its context ends when the time for a
// submission is over.
type asking struct {
	pen    *pen
	test   *test
	copied string // the directory of the submission's copy
	flags  []string
	slot   int // no two askings of the same slot run at a time

	mark    string   // of the processes of the present run
	cgroups []string // that they are in

	limit time.Duration
	tell  func(number string) // a milestone begins
}

// all asks all specifications. The problem says why there was nothing to ask.
func (a *asking) all(ctx context.Context) (verdicts []Verdict, problem string, err error) {
	for _, s := range a.test.asked {
		some, problem, err := a.one(ctx, s)
		verdicts = append(verdicts, some...)
		if err != nil || problem != "" {
			return verdicts, problem, err
		}
	}
	return verdicts, "", nil
}

// one asks one specification. When a milestone ends the process that asks, it
// has failed, and another process asks the rest.
func (a *asking) one(ctx context.Context, s specification) (verdicts []Verdict, problem string, err error) {
	is := map[string]Verdict{}
	rest := s.milestones
	for len(rest) > 0 && ctx.Err() == nil {
		l, ended, err := a.run(ctx, s, rest)
		if err != nil {
			return nil, "", err
		}
		for number, status := range l.is {
			v := Verdict{Status: status}
			if status != Passed {
				v.Report = l.report(number)
			}
			if status == Failed {
				v.Picture = draw(l.pictures[number])
			}
			is[number] = v
		}

		before := len(rest)
		rest = slices.DeleteFunc(slices.Clone(rest), func(m chapter.Milestone) bool {
			_, ok := l.is[m.Number]
			return ok
		})
		i := slices.IndexFunc(rest, func(m chapter.Milestone) bool { return m.Number == l.now })
		if i >= 0 {
			is[l.now] = Verdict{Status: Failed, Report: a.interrupted(ctx, rest[i], ended)}
			rest = slices.Delete(rest, i, i+1)
		}
		if len(rest) == before && ctx.Err() == nil {
			problem = "it could not be asked: " + strings.TrimSpace(ended+"\n"+l.report(""))
			break
		}
	}

	for _, m := range s.milestones {
		v, ok := is[m.Number]
		if !ok {
			v.Status = Unreached
		}
		v.Number, v.Sentence = m.Number, m.Sentence
		verdicts = append(verdicts, v)
	}
	return verdicts, problem, nil
}

// run runs one process that asks these milestones, and returns what it has said
// and how it has ended. Nothing is left of it then.
func (a *asking) run(
	ctx context.Context, s specification, milestones []chapter.Milestone,
) (l *listener, ended string, err error) {
	left := a.limit
	if end, ok := ctx.Deadline(); ok {
		left = max(time.Until(end), time.Second)
	}
	args := append([]string{
		"-test.v=test2json", "-test.run=" + s.pattern(milestones), "-test.timeout=" + (left + lastMoment).String(),
		"-pictures=-",
	}, a.flags...)

	group, output, err := a.pen.start(a, args)
	if err != nil {
		return nil, "", fmt.Errorf("start the specification: %w", err)
	}
	l = newListener(a.tell)
	heard := make(chan error, 1)
	go func() { heard <- l.listen(output) }()

	select {
	case <-group.Done():
	case <-ctx.Done():
	}
	err = a.pen.end(group, a)
	if err != nil {
		return nil, "", err
	}
	err = hear(output, heard)
	return l, howEnded(group.State()), err
}

// howEnded says how the process that asks has ended. In a cell, the first
// process says how its child has.
func howEnded(state *os.ProcessState) string {
	if code := state.ExitCode(); code > 128 {
		return "signal: " + syscall.Signal(code-128).String()
	}
	return state.String()
}

// hear waits for the end of the output, of which what left the pen may still
// hold an end, and closes it.
func hear(output *os.File, heard <-chan error) error {
	defer output.Close()
	select {
	case err := <-heard:
		return err
	case <-time.After(2 * time.Second):
	}
	output.Close() // a read that waits returns
	<-heard
	return nil
}

// interrupted is the report of a milestone in which the process that asks has
// ended.
func (a *asking) interrupted(ctx context.Context, m chapter.Milestone, ended string) string {
	got := "the process that asks ended in the middle of it: " + ended
	usually := "the program has killed its parent, or all processes that it could"
	if ctx.Err() != nil {
		got, usually = fmt.Sprintf("it was still under way when the %v for a submission were over", a.limit), ""
	}

	report := fmt.Sprintf("✗ %s %s\n  expected  this milestone to come to its end\n  got       %s",
		m.Number, m.Sentence, got)
	if usually != "" {
		report += "\n  usually   " + usually
	}
	return report
}
