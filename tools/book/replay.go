// Replays: what a terminal shows in a text, as a script that a test runs, and
// what that must print. Numbers don't matter: neither pids nor durations are
// twice the same.

package book

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A step is a command of a replay, and what the text shows below it.
type step struct {
	line    int    // of the command in the document, from 0
	command string // perhaps of several lines
	want    []string
}

// anything is the line that stands for any number of lines.
const anything = "…"

// steps returns the commands of a console: lines that begin with "$ ".
func (d *Doc) steps(b block) (steps []step, problems []string) {
	lines := b.text(d)
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "$ ") {
		return nil, []string{d.at(b.first, "what is to be replayed begins with a command, after \"$ \"")}
	}

	for i := 0; i < len(lines); i++ {
		command, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			last := &steps[len(steps)-1]
			last.want = append(last.want, lines[i])
			continue
		}

		s := step{line: b.first + i, command: command}
		for strings.HasSuffix(s.command, `\`) && i+1 < len(lines) {
			i++
			s.command += "\n" + strings.TrimPrefix(lines[i], "> ")
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// mark is printed behind each command, followed by the command's index. No
// program prints it.
const mark = "\x01end of command "

// script returns a script that runs the commands one after the other. All that
// they print, on either channel, comes out in one, with marks.
func script(steps []step, ports map[string]string) string {
	var out strings.Builder
	out.WriteString("exec 2>&1\ncd \"$1\" || exit\n")

	for i, s := range steps {
		// The file that a job writes is there when a reader types the next
		// command. Here the job may not have opened it yet.
		if strings.HasSuffix(strings.TrimSpace(s.command), "&") {
			commands, _ := shellCommands(s.command) // what can't be read fails when it is run
			for _, c := range commands {
				for _, file := range c.writes {
					fmt.Fprintf(&out, ": >> %s\n", shellQuote(file))
				}
			}
		}

		// eval: a mistake in the syntax of one doesn't end the shell.
		fmt.Fprintf(&out, "eval %s\nprintf '%%s%d\\n' '%s'\n", shellQuote(withPorts(s.command, ports)), i, mark)
	}
	return out.String()
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// The ports that texts name: servers', and ZooKeeper's.
var portNumber = regexp.MustCompile(`\b(808[0-9]|2181)\b`)

// wantedPorts returns the ports that commands name.
func wantedPorts(steps []step) map[string]bool {
	wanted := map[string]bool{}
	for _, s := range steps {
		for _, port := range portNumber.FindAllString(s.command, -1) {
			wanted[port] = true
		}
	}
	return wanted
}

func withPorts(command string, ports map[string]string) string {
	return portNumber.ReplaceAllStringFunc(command, func(port string) string {
		if other, ok := ports[port]; ok {
			return other
		}
		return port
	})
}

// usesZooKeeper tells a replay that needs one: it names its port, or runs a
// program that looks for it there.
var usesZooKeeper = regexp.MustCompile(`\b2181\b|\bbin/(step[56]-|server\b|client\b)`)

// split cuts what the script has printed into what each command has. Of one
// that didn't end there is what it printed so far, and of those behind it
// nothing: finished is how many ended.
func split(printed string, count int) (outputs []string, finished int) {
	for i := range count {
		end := mark + strconv.Itoa(i) + "\n"
		output, rest, found := strings.Cut(printed, end)
		outputs = append(outputs, output)
		if !found {
			return outputs, i
		}
		printed = rest
	}
	return outputs, count
}

// What a shell says about its background jobs. An interactive one says other
// things than one that runs a script, so it counts for nothing.
var jobNotice = regexp.MustCompile(`^(\[[0-9]+\]([-+]? +` + jobEnd + `.*| [0-9]+)|.+: line [0-9]+: +[0-9]+ ` + jobEnd +
	`.*)$`)

const jobEnd = `(Done|Exit|Running|Stopped|Terminated|Killed|Hangup|Quit|Interrupt|Aborted)\b`

// masked returns lines as they are compared: digits don't matter, nor how many
// spaces there are, which depends on them.
func masked(lines []string) (out []string) {
	for _, line := range lines {
		if jobNotice.MatchString(line) {
			continue
		}
		line = digits.ReplaceAllString(line, "0")
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return out
}

var digits = regexp.MustCompile(`[0-9]+`)

// matches reports whether lines are what want says, both masked. A line of want
// that is anything stands for any number of them.
func matches(want, lines []string) bool {
	switch {
	case len(want) == 0:
		return len(lines) == 0
	case want[0] == anything:
		return matches(want[1:], lines) || len(lines) > 0 && matches(want, lines[1:])
	}
	return len(lines) > 0 && want[0] == lines[0] && matches(want[1:], lines[1:])
}

// compare says what is wrong with a command's output; "" if it is as the text
// shows it.
func (s step) compare(output string) string {
	got := splitLines(output)
	if matches(masked(s.want), masked(got)) {
		return ""
	}
	return fmt.Sprintf("`%s` doesn't print what the text shows, numbers apart.\nexpected:\n%s\ngot:\n%s", s.command,
		shown(s.want), shown(got))
}

// shown indents lines for a report, and says so if there are none.
func shown(lines []string) string {
	if len(lines) == 0 {
		return "  (nothing)"
	}
	return "  " + strings.Join(lines, "\n  ")
}
