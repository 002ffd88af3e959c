// Checks of our own programs: built before they are run, and with commands and
// flags that they have. The programs are asked for those.

package book

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A usageText is what a program says of its command line.
type usageText struct {
	commands   []string        // if it has several
	flags      map[string]bool // by whether they take a value
	positional []string        // what follows the flags
	err        error
}

var (
	usageLine = regexp.MustCompile(`(?m)^usage: (.*)$`)
	flagLine  = regexp.MustCompile(`(?m)^  -([A-Za-z0-9-]+)( [^\t\n]+)?(?:\t.*)?$`)
)

// parseUsage reads what a program prints when it is asked with -h.
func parseUsage(printed string) (u usageText) {
	u.flags = map[string]bool{"h": false}
	if m := usageLine.FindStringSubmatch(printed); m != nil {
		for i, field := range strings.Fields(m[1]) {
			switch {
			case i > 0 && strings.Contains(field, "|"):
				u.commands = strings.Split(field, "|")
			case strings.ToUpper(field) == field && strings.ToLower(field) != field:
				u.positional = append(u.positional, field)
			}
		}
	}
	for _, m := range flagLine.FindAllStringSubmatch(printed, -1) {
		u.flags[m[1]] = m[2] != ""
	}
	return u
}

// usage asks a program, with the name of one of its commands or without.
func (c *Checker) usage(dir string, command ...string) usageText {
	key := strings.Join(append([]string{dir}, command...), " ")
	if c.helps == nil {
		c.helps = map[string]usageText{}
	}
	u, ok := c.helps[key]
	if !ok {
		printed, err := c.Help(dir, command...)
		u = parseUsage(printed)
		u.err = err
		c.helps[key] = u
	}
	return u
}

// run looks at the arguments of one of our programs.
func (s *reader) run(program string, args []word) {
	dir, ok := s.built[program]
	if !ok && (s.isolate || s.loose) {
		dir, ok = s.known(path.Base(program))
	}
	if !ok {
		s.fault("%s isn't built before that in this text: say how, as in `go build -o bin/ ./step1-framing`", program)
		return
	}

	if len(args) == 0 || strings.HasPrefix(dir, "_mine") {
		return // it says itself what it wants; and the reader's is his
	}

	u := s.usage(dir)
	name := program
	if u.commands != nil && !args[0].varies {
		command := args[0].text
		if !slices.Contains(u.commands, command) {
			s.fault("%s has no command %s, but %s", program, command, strings.Join(u.commands, ", "))
			return
		}
		name += " " + command
		u, args = s.usage(dir, command), args[1:]
	}

	if u.err != nil {
		s.fault("ask %s -h: %v", name, u.err)
		return
	}
	s.flags(name, u, args)
}

// known finds a program of the workbook by its name.
func (s *reader) known(name string) (dir string, ok bool) {
	for _, pattern := range []string{name, "final/cmd/" + name, "internal/*/cmd/" + name} {
		found, _ := filepath.Glob(filepath.Join(s.Root, pattern, "main.go"))
		if len(found) == 1 {
			rel, err := filepath.Rel(s.Root, filepath.Dir(found[0]))
			return filepath.ToSlash(rel), err == nil
		}
	}
	return "", false
}

var negative = regexp.MustCompile(`^-[0-9]`)

// flags looks at a program's flags, and counts what follows them.
func (s *reader) flags(name string, u usageText, args []word) {
	for len(args) > 0 && strings.HasPrefix(args[0].text, "-") && !negative.MatchString(args[0].text) {
		flag, _, joined := strings.Cut(strings.TrimLeft(args[0].text, "-"), "=")
		takes, known := u.flags[flag]

		switch {
		case !known:
			s.fault("%s has no flag -%s", name, flag)
			return
		case flag == "h":
			return
		case takes && !joined && len(args) == 1:
			s.fault("%s: -%s needs a value", name, flag)
			return
		case takes && !joined:
			args = args[1:]
		}
		args = args[1:]
	}

	if slices.ContainsFunc(args, func(w word) bool { return w.varies }) {
		return // that may be several
	}
	if len(args) != len(u.positional) && !(s.loose && len(args) == 0) {
		s.fault("%s takes %d arguments behind its flags (%s), not %d", name, len(u.positional),
			strings.Join(u.positional, " "), len(args))
	}
}
