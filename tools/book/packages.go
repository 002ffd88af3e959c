// Tools that a small Debian hasn't: a text names the package, and the command
// that installs it, where it uses one for the first time.

package book

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// packages are Debian's, by the tools in them that texts use.
var packages = map[string]string{
	"curl": "curl", "gdb": "gdb", "lsof": "lsof", "ltrace": "ltrace", "nc": "netcat-openbsd", "perf": "linux-perf",
	"pgrep": "procps", "pkill": "procps", "ps": "procps", "pstree": "psmisc", "python3": "python3", "socat": "socat",
	"ss": "iproute2", "strace": "strace", "tcpdump": "tcpdump", "top": "procps", "watch": "procps", "xxd": "xxd",
}

// Unnamed returns a problem for each tool whose package the text doesn't name:
// in the section that uses it first, or before that.
func Unnamed(d *Doc) (problems []string) {
	var headings []int
	for _, h := range d.headings() {
		headings = append(headings, h.line)
	}

	for _, use := range d.uses() {
		end := len(d.lines)
		if next := slices.IndexFunc(headings, func(line int) bool { return line > use.line }); next >= 0 {
			end = headings[next]
		}

		name := packages[use.text]
		install := regexp.MustCompile("`apt-get install [^`]*\\b" + name + "\\b[^`]*`")
		if !slices.ContainsFunc(d.lines[:end], install.MatchString) {
			problems = append(problems, d.at(use.line, "%s is used here for the first time, and is not on every "+
				"machine: say `apt-get install %s`", use.text, name))
		}
	}
	return problems
}

// uses returns where each of those tools is used first, from top to bottom. A
// tool that is only spoken of, as in "what would `ps` show?", isn't used.
func (d *Doc) uses() []part {
	var all []part
	for _, p := range d.scripts() {
		for _, piece := range p.parts {
			all = append(all, toolsIn(piece)...)
		}
	}
	for _, span := range d.codeSpans() {
		if strings.Contains(span.text, " ") {
			all = append(all, toolsIn(span)...)
		}
	}
	slices.SortStableFunc(all, func(a, b part) int { return a.line - b.line })

	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(use part) bool {
		again := seen[use.text]
		seen[use.text] = true
		return again
	})
}

// toolsIn returns the tools that a piece of shell runs.
func toolsIn(script part) (uses []part) {
	commands, _ := shellCommands(script.text) // what can't be read is another check's
	for _, c := range commands {
		for i, w := range c.words {
			// An argument may be a command, too: -program 'python3 server.py'.
			name, _, several := strings.Cut(w.text, " ")
			if packages[name] != "" && (i == 0 || several) {
				uses = append(uses, part{script.line + c.line, name})
			}
		}
	}
	return uses
}

// missing returns the tools that a replay uses and this machine hasn't.
func missing(steps []step) (names []string) {
	for _, s := range steps {
		for _, use := range toolsIn(part{s.line, s.command}) {
			_, err := exec.LookPath(use.text)
			if err != nil && !slices.Contains(names, use.text) {
				names = append(names, use.text)
			}
		}
	}
	return names
}
