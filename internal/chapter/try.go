// make try: the specification, run against the reader's program.

package chapter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"example.com/rpcworkbook/internal/carry"
)

// Pictures is the directory with the pictures of the latest try.
const Pictures = "_pictures"

// How says how to try a program.
type How struct {
	Race  bool   // with the race detector
	Full  bool   // show all that a failed milestone has seen, not just its report
	Alone bool   // leave out the chapters before
	Draw  bool   // draw pictures of all milestones, not only of those that fail
	Only  string // one milestone, such as "3.2"; "" for all
}

// Try runs the chapter's specification against the reader's program, up to the
// first milestone that is red, and then those of the chapters before, which
// must hold, too, unless they are left out. It says how far the program gets,
// and reports whether it got to the end. It blocks for as long as that takes;
// when ctx ends, everything that was started is stopped, and the error is
// ctx's.
func (b *Book) Try(ctx context.Context, c carry.Chapter, how How) (green bool, err error) {
	if err := b.wantProgram(c); err != nil {
		return false, err
	}

	lack, err := b.unbegun()
	if err != nil {
		return false, err
	}
	if lack != "" {
		b.say("%s %s/README.md says what it is to do.\n", lack, c.Dir)
		return false, nil
	}

	target, milestones := c, []Milestone(nil)
	if how.Only == "" {
		milestones, err = b.Milestones(c)
	} else {
		var only Milestone
		target, only, err = b.only(c, how.Only)
		milestones = []Milestone{only}
	}
	if err != nil {
		return false, err
	}

	err = os.RemoveAll(filepath.Join(b.root, Pictures))
	if err != nil {
		return false, err
	}

	building := time.AfterFunc(3*time.Second, func() { b.say("building …\n") })
	defer building.Stop()
	complaint, err := b.compile(ctx, how.Race)
	if err != nil {
		return false, err
	}
	if complaint != "" {
		building.Stop()
		b.say("Your program doesn't compile:\n\n%s\n", strings.TrimSpace(complaint))
		return false, nil
	}

	t := &trial{b: b, c: c, how: how, building: building}
	green, err = t.run(ctx, target.Number, milestones)
	if green && how.Draw && how.Only != "" {
		b.field("picture", "%s", path.Join(Pictures, how.Only+".html"))
	}
	if !green || err != nil || how.Only != "" {
		return green, err
	}

	for _, earlier := range b.chapters {
		if earlier.Number == c.Number || how.Alone {
			break
		}
		milestones, err := b.Milestones(earlier)
		if err != nil {
			return false, err
		}
		t.brief = true
		if green, err := t.run(ctx, earlier.Number, milestones); !green || err != nil {
			return green, err
		}
	}

	b.praise(c)
	if how.Draw {
		b.field("pictures", "in %s, one for each milestone", Pictures)
	}
	if how.Alone && c.Number > b.chapters[0].Number {
		b.field("but", "make try STEP=%d, without EARLIER=0, asks the chapters before, too", c.Number)
	}
	return true, nil
}

func (b *Book) praise(c carry.Chapter) {
	b.say("\nWell done: your program does all that chapter %d asks for.\n\n", c.Number)
	if b.open(c) {
		return
	}
	b.field("compare", "make compare STEP=%d", c.Number)
	if next := c.Number + 1; next <= b.last().Number {
		b.field("then", "make begin STEP=%d", next)
	} else {
		b.field("then", "final/README.md: what else it needs before untrusted clients may connect")
	}
}

// A trial is one specification at work.
type trial struct {
	b     *Book
	c     carry.Chapter // whose program it is
	how   How
	brief bool // show no single milestones

	building *time.Timer       // says why nothing happens
	tried    map[string]string // milestones that have ended, by number, and their signs
}

// run runs the milestones of one specification, prints one line as they end,
// and the report of the first that is red.
func (t *trial) run(ctx context.Context, chapter int, milestones []Milestone) (green bool, err error) {
	one, stop := context.WithCancel(ctx)
	defer stop()
	run := fmt.Sprintf("^TestSpec%d$", chapter)
	if t.how.Only != "" {
		run += "/^" + regexp.QuoteMeta(t.how.Only) + "_"
	}

	args := []string{"test", "-json", "-count=1", "-timeout=10m", "-failfast"}
	if t.how.Race {
		args = append(args, "-race")
	}
	if t.how.Full {
		args = append(args, "-v")
	}
	args = append(args, "./"+t.c.Dir, "-run", run,
		"-args", "-program", Mine, "-again", t.again(), "-pictures", Pictures)
	if t.how.Draw {
		args = append(args, "-all-pictures")
	}

	t.tried = map[string]string{}
	if t.brief {
		t.b.say("chapter %d", chapter)
	}

	var s stream
	complaint, err := t.b.goCommand(one, func(output io.Reader) error {
		return s.follow(output, func(test, action string) {
			t.building.Stop()
			if one.Err() == nil {
				t.show(test, action)
			}
			_, ok := s.report(false)
			if s.red && ok {
				stop() // without a report, what explains the failure comes later
			}
		})
	}, args...)
	err = errors.Join(err, t.b.remember(t.tried))

	switch {
	case ctx.Err() != nil:
		t.b.say("\n")
		return false, ctx.Err()
	case s.red:
		t.end("✗", milestones)
		t.b.say("\n%s\n", t.report(&s, complaint, milestones))
		return false, nil
	case err != nil:
		return false, fmt.Errorf("run the specification: %w\n%s", err, complaint)
	}

	t.end("✓", milestones)
	for _, m := range milestones { // green must mean all of it
		if t.tried[m.Number] == "" {
			return false, fmt.Errorf("milestone %s was not run by go %s", m.Number, strings.Join(args, " "))
		}
	}
	return true, nil
}

// show adds a milestone that has ended to the line.
func (t *trial) show(test, action string) {
	number := numberOf(test)
	sign := map[string]string{"pass": "✓", "fail": "✗", "skip": "–"}[action]
	if number == "" || sign == "" {
		return
	}
	if !t.brief {
		if len(t.tried) > 0 {
			t.b.say(" ")
		}
		t.b.say("%s %s", number, sign)
	}
	t.tried[number] = sign
}

// end ends the line.
func (t *trial) end(sign string, milestones []Milestone) {
	if t.brief {
		t.b.say(" %s", sign)
	}
	if len(t.tried) > 0 && t.how.Only == "" {
		t.b.say(" (%d of %d)", len(t.tried), len(milestones))
	}
	t.b.say("\n")
}

// report returns what there is to say about a failure.
func (t *trial) report(s *stream, complaint string, milestones []Milestone) string {
	text, ok := s.report(t.how.Full)
	if ok {
		return text
	}

	text = strings.TrimSpace(text + "\n" + complaint)
	if strings.Contains(text, "signal: killed") {
		text += "\nSomebody killed the tests. They are your program's parent: does it kill that?"
	}
	for _, m := range milestones {
		if m.Number == numberOf(s.failed) { // it failed in words of its own
			text += fmt.Sprintf("\n%-9s %s%s", "again", t.again(), m.Number)
			picture := path.Join(Pictures, m.Number+".html")
			if _, err := os.Stat(filepath.Join(t.b.root, picture)); err == nil {
				text += fmt.Sprintf("\n%-9s %s", "picture", picture)
			}
			text = mark + m.Number + " " + m.Sentence + "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
		}
	}
	return text
}

// again is the command that repeats a milestone, up to its number.
func (t *trial) again() string { return fmt.Sprintf("make try STEP=%d ONLY=", t.c.Number) }

var milestoneName = regexp.MustCompile(`^TestSpec[0-9]+/([0-9]+\.[0-9]+)_`)

// numberOf returns the number of the milestone that a test is, "" if it is
// none.
func numberOf(test string) string {
	if m := milestoneName.FindStringSubmatch(test); m != nil {
		return m[1]
	}
	return ""
}
