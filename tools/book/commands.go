// Commands: those in the code blocks of a text, and those in its lines that
// are plainly meant to be typed. Each must be one that works from the
// workbook's root: of a kind that is known here, with targets, packages, tests,
// programs and flags that are there.

package book

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Checker looks at the commands of texts.
type Checker struct {
	Root string
	// Help returns what the program of a package, by its directory, prints when
	// it is called with these arguments and -h. It is asked for each only once.
	Help func(dir string, args ...string) (string, error)

	makefiles map[string]makefile // by directory
	helps     map[string]usageText
}

// A reader types what a text says.
type reader struct {
	*Checker
	doc      *Doc
	built    map[string]string // programs, by path, to the directories of their packages
	aliases  map[string]bool
	line     int // of the command
	problems []string

	// Of the present block, which begins in the root.
	dir     string          // where it is; "" if that is outside
	outer   []string        // where the shells are that the present one is in
	made    map[string]bool // files and directories that it makes
	isolate bool            // it runs in a directory of its own, which has programs only
	loose   bool            // it is a command in a line of text, which may leave things out
}

// Check returns what is wrong with the commands of a text.
func (c *Checker) Check(d *Doc) []string {
	s := &reader{Checker: c, doc: d, built: map[string]string{}, aliases: map[string]bool{}}
	for _, p := range d.scripts() {
		s.dir, s.outer, s.made, s.isolate, s.loose = ".", nil, map[string]bool{}, p.replayed, p.inline
		for _, part := range p.parts {
			commands, err := shellCommands(part.text)
			if err != nil {
				s.line = part.line
				s.fault("the shell can't read that: %v", err)
			}

			for _, command := range commands {
				s.line = part.line + command.line
				for _, file := range command.writes {
					s.made[file] = true
				}
				s.command(command.words)
			}
		}
	}
	return s.problems
}

func (s *reader) fault(format string, args ...any) {
	s.problems = append(s.problems, s.doc.at(s.line, format, args...))
}

// A passage is what is typed in one go: a block, or a command in a line.
type passage struct {
	parts    []part
	replayed bool
	inline   bool
}

// A part is a piece of shell, and where it begins.
type part struct {
	line int // from 0
	text string
}

// typed are commands that are meant to be typed even within a line of text.
var typed = regexp.MustCompile(`^(make|go (build|run|test|vet)|bin/[a-z][a-z0-9-]*) [^…]*$`)

// scripts returns what is to be typed, from top to bottom.
func (d *Doc) scripts() []passage {
	var all []passage
	for _, b := range d.blocks {
		if p := (passage{parts: d.commands(b)}); len(p.parts) > 0 {
			p.replayed = b.marker != nil && b.marker.verb == "replay"
			all = append(all, p)
		}
	}

	for _, span := range d.codeSpans() {
		if typed.MatchString(span.text) {
			all = append(all, passage{parts: []part{span}, inline: true})
		}
	}

	slices.SortStableFunc(all, func(a, b passage) int { return a.parts[0].line - b.parts[0].line })
	return all
}

// commands returns those of a block: all of it, or, where it shows a terminal,
// what is behind the prompts.
func (d *Doc) commands(b block) (parts []part) {
	lines := b.text(d)
	prompts := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "$ ") })

	switch {
	case b.fenced && !slices.Contains([]string{"sh", "bash", "shell", "console", ""}, b.info):
		return nil
	case !prompts && (b.info == "console" || b.fenced && b.info == ""):
		return nil
	case !prompts:
		return []part{{b.first, strings.Join(lines, "\n")}}
	}

	for i := 0; i < len(lines); i++ {
		command, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			continue
		}

		p := part{b.first + i, command}
		for strings.HasSuffix(p.text, `\`) && i+1 < len(lines) {
			i++
			p.text += "\n" + strings.TrimPrefix(lines[i], "> ")
		}
		parts = append(parts, p)
	}
	return parts
}

// command looks at one.
func (s *reader) command(words []word) {
	name := words[0].text
	switch {
	case words[0].varies || s.dir == "" && strings.Contains(name, "/"):
	case s.aliases[name]:
	case name == "(":
		s.outer = append(s.outer, s.dir)
		return
	case name == ")":
		if last := len(s.outer) - 1; last >= 0 { // else it is one of case
			s.dir, s.outer = s.outer[last], s.outer[:last]
		}
		return
	case name == "alias":
		for _, w := range words[1:] {
			name, _, _ := strings.Cut(w.text, "=")
			s.aliases[name] = true
		}
	case name == "cd":
		s.cd(words[1:])
		return
	case name == "make":
		s.make(words[1:])
		return
	case name == "go":
		s.goCommand(words[1:])
		return
	case s.program(name) != "":
	case s.isolate && !replayable[name]:
		s.fault("%s is nothing that a replay may use: it has bash, coreutils, grep, sed, awk, ps, and our programs",
			name)
		return
	case !s.isolate && !replayable[name] && !tools[name]:
		s.fault("the command %s isn't known: it is a slip, or no command and belongs in a fence with another "+
			"language, such as text, or belongs in the list in tools/book/known.go", name)
		return
	}

	switch name {
	case "mkdir", "touch", "git":
		for _, w := range words[1:] {
			s.made[w.text] = true
		}
	case "cp", "mv":
		s.made[words[len(words)-1].text] = true
	}

	s.paths(words)
	for i, w := range words { // also behind strace, time, exec, …
		if program := s.program(w.text); program != "" && !w.varies && (i == 0 || !slices.Contains(looking, name)) {
			s.run(program, words[i+1:])
			return
		}
	}
}

// program returns the path of the program that a word names, relative to the
// root, "" if it names none.
func (s *reader) program(name string) string {
	if s.dir == "" || path.IsAbs(name) {
		return ""
	}
	full := path.Join(s.dir, name)
	parent := path.Dir(full)
	if path.Base(parent) != "bin" || !strings.Contains(name, "/") || strings.HasSuffix(name, "/") {
		return ""
	}
	return full
}
