// Checks of the go command: packages that are there, flags that it has, and
// tests that a pattern matches.

package book

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Flags of go build, go run and go test, those of our own tests included, by
// whether they take a value.
var (
	buildFlags = map[string]bool{"o": true, "race": false, "v": false, "x": false, "p": true, "C": true,
		"gcflags": true, "ldflags": true, "tags": true, "trimpath": false, "buildvcs": false}
	testFlags = map[string]bool{
		"run": true, "skip": true, "bench": true, "benchtime": true, "benchmem": false, "count": true, "cpu": true,
		"timeout": true, "parallel": true, "fuzz": true, "fuzztime": true, "fuzzminimizetime": true, "json": false,
		"short": false, "failfast": false, "cover": false, "shuffle": true,
		"cpuprofile": true, "memprofile": true, "args": false,
		"program": true, "server": true, "client": true, "again": true, "length": true, "seed": true,
	}
	// What needs no look: it prints something, or is for the reader's own
	// module.
	goOthers = []string{"version", "env", "doc", "mod", "get", "tool", "help", "work"}
)

// goCommand looks at the arguments of go.
func (s *reader) goCommand(args []word) {
	if len(args) == 0 || args[0].varies {
		s.fault("go what?")
		return
	}

	verb := args[0].text
	switch {
	case s.isolate:
		s.fault("a replay has no sources, only bin/: go %s belongs in a block without <!-- replay -->", verb)
		return
	case slices.Contains(goOthers, verb):
		return
	case verb != "build" && verb != "run" && verb != "test" && verb != "vet":
		s.fault("go has no command %s, or none that tools/book/check_go.go knows", verb)
		return
	}

	values, packages, ok := s.goFlags(verb, args[1:])
	if !ok || s.dir == "" {
		return
	}
	if verb == "run" && len(packages) > 1 {
		packages = packages[:1] // the others are the program's arguments
	}

	if len(packages) == 0 && !s.loose {
		s.fault("go %s without a package means the one in the root, which has none: name one, as in ./step1-framing",
			verb)
	}

	dirs, ok := s.packageDirs(verb, packages, values["o"])
	if !ok {
		return
	}

	switch to := values["o"]; verb {
	case "build":
		for _, dir := range dirs {
			if to != "" && isProgram(filepath.Join(s.Root, dir)) {
				s.built[path.Join(s.dir, output(to, dir))] = dir
			}
		}
	case "test":
		s.patterns(values, dirs,
			slices.ContainsFunc(packages, func(name string) bool { return strings.HasSuffix(name, "...") }))
	}
}

// packageDirs returns the directories of the packages. Those of the reader are
// not among them: a program of theirs counts as built into the file of -o.
func (s *reader) packageDirs(verb string, packages []string, to string) (dirs []string, ok bool) {
	for _, name := range packages {
		// The reader's own, before all else: the texts are right whatever is
		// there by now.
		own := path.Join(s.dir, name)
		if strings.HasPrefix(name, "./") && strings.HasPrefix(own, "_mine") {
			if to != "" {
				s.built[path.Join(s.dir, output(to, own))] = own
			}
			continue
		}

		found := s.packages(name)
		if len(found) == 0 && !strings.Contains(name, "@") { // that is another module's
			s.fault("go %s: there is no package %s", verb, name)
			return nil, false
		}
		dirs = append(dirs, found...)
	}
	return dirs, true
}

// goFlags cuts flags and packages apart.
func (s *reader) goFlags(verb string, args []word) (values map[string]string, packages []string, ok bool) {
	values = map[string]string{}
	for i := 0; i < len(args); i++ {
		text := args[i].text
		if !strings.HasPrefix(text, "-") {
			packages = append(packages, text)
			if verb == "run" {
				return values, packages, true
			}
			continue
		}

		name, value, joined := strings.Cut(strings.TrimLeft(text, "-"), "=")
		takes, known := buildFlags[name]
		if !known && verb == "test" {
			takes, known = testFlags[name]
		}
		if !known {
			s.fault("go %s has no flag -%s, or none that tools/book/check_go.go knows", verb, name)
			return nil, nil, false
		}

		if takes && !joined {
			i++
			if i == len(args) {
				s.fault("go %s: -%s needs a value", verb, name)
				return nil, nil, false
			}
			value = args[i].text
		}

		values[name] = value
	}
	return values, packages, true
}

// packages returns the directories that a package's name, beginning with a
// dot, means: several if it ends in "...".
func (s *reader) packages(name string) (dirs []string) {
	if !strings.HasPrefix(name, ".") {
		return nil
	}

	base, all := strings.CutSuffix(name, "...")
	top := path.Join(s.dir, base)
	if !all {
		if hasGo(filepath.Join(s.Root, top)) {
			return []string{top}
		}
		return nil
	}

	_ = filepath.WalkDir(filepath.Join(s.Root, top), func(p string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.Root, p)
		if err != nil {
			return err
		}

		rel = filepath.ToSlash(rel)
		anotherModule := rel != top && exists(filepath.Join(p, "go.mod"))
		if rel != "." && foreign(rel) || entry.Name() == "testdata" || anotherModule {
			return filepath.SkipDir
		}

		if hasGo(p) {
			dirs = append(dirs, rel)
		}
		return nil
	}) // what can't be read has no packages
	return dirs
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func hasGo(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	return len(found) > 0
}

var mainClause = regexp.MustCompile(`(?m)^package main$`)

func isProgram(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "main*.go"))
	return slices.ContainsFunc(found, func(name string) bool {
		text, _ := os.ReadFile(name) // gone: no
		return mainClause.Match(text)
	})
}

var testFunction = regexp.MustCompile(`(?m)^func (Test|Benchmark|Fuzz|Example)(\w*)\(`)

// patterns looks whether those of go test match anything in each package, or,
// if one is enough, in any.
func (s *reader) patterns(values map[string]string, dirs []string, one bool) {
	kinds := map[string][]string{"run": {"Test", "Fuzz", "Example"}, "bench": {"Benchmark"}, "fuzz": {"Fuzz"}}

	for _, flag := range []string{"run", "bench", "fuzz"} {
		pattern, ok := values[flag]
		if !ok || pattern == "^$" {
			continue
		}

		top, below, _ := strings.Cut(pattern, "/")
		re, err := regexp.Compile(top)
		sub, err2 := regexp.Compile(below)
		if err != nil || err2 != nil {
			s.fault("-%s %s is no regular expression", flag, pattern)
			continue
		}

		missing, found := []string{}, false
		for _, dir := range dirs {
			source := testSource(filepath.Join(s.Root, dir))
			matched := slices.ContainsFunc(testFunction.FindAllStringSubmatch(source, -1), func(m []string) bool {
				return slices.Contains(kinds[flag], m[1]) && re.MatchString(m[1]+m[2])
			})
			if matched && (below == "" || hasSubtest(source, sub)) {
				found = true
			} else {
				missing = append(missing, "./"+dir)
			}
		}

		if len(missing) > 0 && !(one && found) {
			s.fault("-%s %s matches nothing in %s", flag, pattern, strings.Join(missing, " "))
		}
	}
}

// testSource returns the tests of a package.
func testSource(dir string) string {
	found, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	var out strings.Builder
	for _, name := range found {
		text, _ := os.ReadFile(name) // gone: none
		out.Write(text)
	}
	return out.String()
}

var stringLiteral = regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`)

// hasSubtest reports whether a text in the tests may be the name of a subtest
// that a pattern matches.
func hasSubtest(source string, pattern *regexp.Regexp) bool {
	return slices.ContainsFunc(stringLiteral.FindAllString(source, -1), func(literal string) bool {
		name, err := strconv.Unquote(literal)
		return err == nil && name != "" && pattern.MatchString(strings.ReplaceAll(name, " ", "_"))
	})
}
