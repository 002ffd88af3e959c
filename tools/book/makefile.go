// What a Makefile has: targets, the variables that they use, and the programs
// that they build.

package book

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A rule is one target of a Makefile.
type rule struct {
	needs []string          // other targets, made before
	text  string            // its first line and its recipe
	build map[string]string // programs to the directories of their packages
}

type makefile map[string]rule

var (
	ruleLine  = regexp.MustCompile(`^([A-Za-z0-9_-]+):([^=].*)?$`)
	makeBuild = regexp.MustCompile(`go build [^\n]*?-o (\S+)((?: \./\S+)+)`)
)

// readMakefile reads that of a directory; one that isn't there has no targets.
func readMakefile(dir string) makefile {
	content, _ := os.ReadFile(filepath.Join(dir, "Makefile")) // nothing: no targets
	rules := makefile{}

	name := ""
	for _, line := range strings.Split(string(content), "\n") {
		if m := ruleLine.FindStringSubmatch(line); m != nil {
			name = m[1]
			needs, _, _ := strings.Cut(m[2], "##")
			rules[name] = rule{needs: strings.Fields(needs), text: line, build: map[string]string{}}
			continue
		}
		if !strings.HasPrefix(line, "\t") {
			name = ""
		}

		r, ok := rules[name]
		if !ok {
			continue
		}

		r.text += "\n" + line
		for _, m := range makeBuild.FindAllStringSubmatch(line, -1) {
			for _, dir := range strings.Fields(m[2]) {
				r.build[output(m[1], dir)] = filepath.Clean(dir)
			}
		}
		rules[name] = r
	}
	return rules
}

// output is the program that go build -o to makes of a package's directory.
func output(to, dir string) string {
	if strings.HasSuffix(to, "/") {
		to = filepath.Join(to, filepath.Base(dir))
	}
	return filepath.Clean(to)
}

// uses reports whether a target, or one that it needs, uses a variable.
func (m makefile) uses(target, variable string) bool {
	pattern := regexp.MustCompile(`\$\$?[({]?` + regexp.QuoteMeta(variable) + `\b|\(if \$\(` +
		regexp.QuoteMeta(variable) + `\)`)
	for _, r := range m.all(target) {
		if pattern.MatchString(r.text) {
			return true
		}
	}
	return false
}

// all returns the rule of a target, and those that it needs.
func (m makefile) all(target string) (rules []rule) {
	r, ok := m[target]
	if !ok {
		return nil
	}
	rules = []rule{r}
	for _, need := range r.needs {
		rules = append(rules, m.all(need)...)
	}
	return rules
}

// needs reports whether a target needs another one, directly or not.
func (m makefile) needs(target, other string) bool {
	return slices.ContainsFunc(m.all(target), func(r rule) bool { return slices.Contains(r.needs, other) })
}
