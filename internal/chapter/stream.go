// Reading what `go test -json` tells: which milestones have ended, and how, and
// what they printed.

package chapter

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
)

// A stream is what `go test -json` has told so far.
type stream struct {
	printed map[string]*strings.Builder // by test, "" for the package as a whole
	begun   []string                    // milestones
	running string                      // the milestone that is, or was when the tests died
	failed  string                      // the test that failed first
	red     bool                        // there is one
}

// An event is a line of it; see `go doc test2json`.
type event struct {
	Action string
	Test   string // "TestSpec3/3.2_there_are_as_many", "" for the package
	Output string
}

// follow reads events until there are no more. It calls tell when a test, or
// the package, begins, goes on or ends: the action is "run", "cont", "pass",
// "fail" or "skip". What is inside a milestone counts as part of it.
func (s *stream) follow(from io.Reader, tell func(test, action string)) error {
	s.printed = map[string]*strings.Builder{}
	lines := bufio.NewReader(from)

	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.take(line, tell)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) take(line string, tell func(test, action string)) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		e = event{Action: "output", Output: line} // of the go command itself
	}
	test := s.outer(e.Test)

	switch e.Action {
	case "output", "build-output":
		if s.printed[test] == nil {
			s.printed[test] = &strings.Builder{}
		}
		s.printed[test].WriteString(e.Output)
	case "run", "cont", "pass", "fail", "skip":
		if test != e.Test {
			return
		}
		if e.Action == "fail" && test == "" && s.running != "" {
			s.note(s.running, "fail", tell) // the test process died in the middle of it
		}
		s.note(test, e.Action, tell)
	}
}

// note takes down that a test, or the package, has begun or ended.
func (s *stream) note(test, action string, tell func(test, action string)) {
	switch {
	case action == "run" || action == "cont":
		s.running = ""
		if strings.Contains(test, "/") {
			s.running = test
		}
	case test == s.running:
		s.running = ""
	}

	if action == "fail" && !s.red {
		s.red, s.failed = true, test
	}
	tell(test, action)
}

// outer returns the milestone that a test is, or is inside of. A slash doesn't
// tell: a sentence may have one. But what is inside begins later.
func (s *stream) outer(test string) string {
	for _, m := range s.begun {
		if strings.HasPrefix(test, m+"/") {
			return m
		}
	}
	if strings.Contains(test, "/") && !slices.Contains(s.begun, test) {
		s.begun = append(s.begun, test)
	}
	return test
}

var (
	// What go test says around the tests' own words.
	noise = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME)|--- (PASS|FAIL|SKIP): )|` +
		`^((PASS|FAIL|ok)(\s|$)|exit status )`)
	// Where a test said something.
	place = regexp.MustCompile(`^    [^\s:]+\.go:\d+: (.*)$`)
)

// mark begins the report of a failed milestone.
const mark = "✗ "

// report returns the failed test's report, without go test's noise: the block
// that begins with the mark, or, with all, everything that the test said. ok is
// false if there is no report: then text is whatever was said that may explain
// the failure.
func (s *stream) report(all bool) (text string, ok bool) {
	said := s.blocks(s.failed)
	i := slices.IndexFunc(said, func(block string) bool { return strings.HasPrefix(block, mark) })
	switch {
	case i >= 0 && all:
		return strings.Join(said, "\n"), true
	case i >= 0:
		return said[i], true
	}
	if parent, _, ok := strings.Cut(s.failed, "/"); ok {
		said = append(said, s.blocks(parent)...)
	}
	if s.failed != "" {
		said = append(said, s.blocks("")...)
	}
	return strings.Join(said, "\n"), false
}

// blocks returns what a test said, at each place of the source one block.
func (s *stream) blocks(test string) (blocks []string) {
	if s.printed[test] == nil {
		return nil
	}

	said := false // by t.Log, which indents the lines after the first
	for line := range strings.Lines(s.printed[test].String()) {
		line = strings.TrimRight(line, "\r\n")
		m := place.FindStringSubmatch(line)

		switch {
		case noise.MatchString(line):
		case m != nil:
			said = true
			blocks = append(blocks, strings.TrimSpace(m[1]))
		case strings.HasPrefix(line, mark) || len(blocks) == 0:
			said = false
			blocks = append(blocks, line)
		default:
			if said {
				line = strings.TrimPrefix(line, "        ")
			}
			if last := &blocks[len(blocks)-1]; *last == "" {
				*last = line
			} else {
				*last += "\n" + line
			}
		}
	}

	return blocks
}
