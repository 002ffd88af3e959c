// Checks of make, of changes of the directory, and of paths.

package book

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// rules returns the Makefile of a directory relative to the root.
func (c *Checker) rules(dir string) makefile {
	if c.makefiles == nil {
		c.makefiles = map[string]makefile{}
	}
	if c.makefiles[dir] == nil {
		c.makefiles[dir] = readMakefile(filepath.Join(c.Root, dir))
	}
	return c.makefiles[dir]
}

// make looks at the arguments of make.
func (s *reader) make(args []word) {
	dir := s.dir
	if s.isolate {
		s.fault("a replay has no Makefile: make belongs in a block without <!-- replay -->")
		return
	}

	var targets []string
	variables := map[string]string{}
	for i := 0; i < len(args); i++ {
		arg := args[i].text
		name, value, assigns := strings.Cut(arg, "=")
		switch {
		case arg == "-C" && i+1 < len(args):
			i++
			dir = path.Join(dir, args[i].text)
		case strings.HasPrefix(arg, "-"):
		case assigns:
			variables[name] = value
		default:
			targets = append(targets, arg)
		}
	}

	if dir == "" {
		return // another project's
	}

	rules := s.rules(dir)
	for _, target := range targets {
		if _, ok := rules[target]; !ok {
			s.fault("make %s: the Makefile has no such target", target)
			return
		}
		if dir == "." && rules.needs(target, "whole") && !isDir(filepath.Join(s.Root, "final")) {
			s.fault("make %s needs the whole workbook, and this is a handout", target)
		}
		for _, r := range rules.all(target) {
			for program, pkg := range r.build {
				s.built[path.Join(dir, program)] = path.Join(dir, pkg)
			}
		}
	}

	for _, name := range slices.Sorted(maps.Keys(variables)) {
		value := variables[name]
		used := false
		for _, target := range targets {
			used = used || rules.uses(target, name)
		}
		if !used {
			s.fault("make %s doesn't use the variable %s", strings.Join(targets, " "), name)
		}

		if wrong := s.variable(name, value, variables["STEP"]); wrong != "" {
			s.fault("%s=%s: %s", name, value, wrong)
		}
	}
}

var placeholder = regexp.MustCompile(`^N(\.[a-z0-9])?$`)

// variable says what is wrong with the value of one that names a chapter or a
// milestone.
func (s *reader) variable(name, value, step string) string {
	if s.loose && placeholder.MatchString(value) {
		return ""
	}

	switch name {
	case "STEP":
		if s.chapter(value) == "" {
			return "there is no such chapter"
		}
	case "ONLY":
		number, _, _ := strings.Cut(value, ".")
		dir := s.chapter(number)
		spec, _ := os.ReadFile(filepath.Join(dir, "spec"+number+"_test.go")) // nothing: no milestones
		if dir == "" || !strings.Contains(string(spec), `"`+value+" ") {
			return "there is no such milestone"
		}
		if len(number) > len(step) || number > step {
			return "STEP is to be its chapter, or a later one"
		}
	}
	return ""
}

// chapter returns the directory of one, "" if there is none of that number.
func (c *Checker) chapter(number string) string {
	found, _ := filepath.Glob(filepath.Join(c.Root, "step"+number+"-*"))
	if len(found) != 1 || number == "" {
		return ""
	}
	return found[0]
}

// cd goes to another directory.
func (s *reader) cd(args []word) {

	switch {
	case s.isolate || s.dir == "" || len(args) == 1 && args[0].varies:
	case len(args) == 0:
		s.dir = ""
	case len(args) > 1:
		s.fault("cd takes one directory")
	case args[0].text == "-":
		s.dir = "."
	default:
		to := path.Join(s.dir, args[0].text)
		switch {
		case path.IsAbs(args[0].text) || strings.HasPrefix(to, ".."):
			s.dir = ""
		case isDir(filepath.Join(s.Root, to)):
			s.dir = to
		case s.made[args[0].text]:
			s.dir = ""
		default:
			s.fault("cd %s: there is no such directory in the workbook's root, where each block begins", args[0].text)
		}
	}
}

// paths looks for the files that words name: whatever begins with ./ or with a
// directory of the workbook.
func (s *reader) paths(words []word) {
	if s.dir == "" || s.isolate {
		return
	}
	for _, w := range words {
		if wrong := s.path(w); wrong != "" {
			s.fault("%s", wrong)
		}
	}
}

func (s *reader) path(w word) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(w.text, "./"), "/")
	dotted := strings.HasPrefix(w.text, "./")
	switch {
	case strings.ContainsAny(w.text, " \n$=:{") || s.made[w.text] || s.built[path.Join(s.dir, w.text)] != "":
		return ""
	case top == "" || top == "bin" || top == "_mine" || strings.HasPrefix(top, "."):
		return ""
	case !dotted && !(isDir(filepath.Join(s.Root, s.dir, top)) || stepLike.MatchString(top)):
		return ""
	}
	name := strings.TrimSuffix(w.text, "...")
	if found, _ := filepath.Glob(filepath.Join(s.Root, s.dir, name)); len(found) == 0 {
		return fmt.Sprintf("%s isn't there", w.text)
	}
	return ""
}

var stepLike = regexp.MustCompile(`^(step[0-9]+-.*|final|exercise-.*)$`)

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
