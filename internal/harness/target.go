// Targets: which programs a specification is asked of. They are the step's own
// unless flags of the test binary name others: a directory with a reader's
// program, or a command that starts one in any language.

package harness

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"example.com/rpcworkbook/internal/carry"
)

// targets are the flags, see Main. They are no global flags: other programs
// use this package, too.
var targets struct {
	program, server, client string // as given; "" is the step's own
	built                   string // the step's own program, if it needn't be built

	again, in string
	user      int // 0: the test's own

	pictures    string // the directory for them, an absolute path; "" for none, toOutput for that
	allPictures bool   // also of milestones that pass
}

// toOutput is given in the place of a directory for pictures: their events go
// to the test's output, see sayPicture.
const toOutput = "-"

const targetUsage = "a `DIR` with a Go program, relative to the package or to the module's root, " +
	"such a program that has been built, " +
	"or a command such as 'python3 server.py {host} {port} {workers}'"

// parseFlags adds our flags to those of package testing and parses all of
// them. With another program under test, only the specifications are run: the
// other tests know this step's code from inside.
func parseFlags() error {
	flag.StringVar(&targets.program, "program", "", "ask the specification of another program: "+targetUsage)
	flag.StringVar(&targets.server, "server", "", "the same for the server alone")
	flag.StringVar(&targets.client, "client", "",
		"the same for the client alone, such as 'python3 client.py {zk} {root} {n} {interval}'")
	flag.StringVar(&targets.built, "built", "",
		"the program of this package, which somebody has built already: all tests are run, and start it")
	flag.StringVar(&targets.again, "again", "",
		"what a report names as the command that tries a milestone again, without the milestone's number")
	flag.StringVar(&targets.in, "in", "", "the `DIR` in which a command is run, instead of the module's root")
	flag.IntVar(&targets.user, "user", 0,
		"the number of the user, and of the group, as whom programs run: only root can ask for that")
	flag.StringVar(&targets.pictures, "pictures", "",
		"write a picture of each milestone that fails to this `DIR`, which is relative to the module's root; "+
			"or, if it is -, what such a picture shows to the output, for a program that draws it")
	flag.BoolVar(&targets.allPictures, "all-pictures", false, "with -pictures: of each milestone, also if it passes")
	flag.Parse()
	if err := placePictures(); err != nil {
		return err
	}

	if targets.program == "" && targets.server == "" && targets.client == "" {
		here, err := os.Getwd()
		if err != nil {
			return err
		}
		return flag.Set("test.skip", withoutEarlier(here, flag.Lookup("test.skip").Value.String()))
	}

	for _, target := range []*string{&targets.program, &targets.server, &targets.client} {
		if *target == "" || isCommand(*target) {
			continue
		}
		path, err := findProgram(*target)
		if err != nil {
			return err
		}
		*target = path
	}

	if flag.Lookup("test.run").Value.String() == "" {
		return flag.Set("test.run", "^TestSpec")
	}
	return nil
}

// placePictures makes the directory's path absolute.
func placePictures() error {
	if targets.pictures == "" || targets.pictures == toOutput || filepath.IsAbs(targets.pictures) {
		return nil
	}
	root, err := carry.FindRoot()
	if err != nil {
		return err
	}
	targets.pictures = filepath.Join(root, targets.pictures)
	return nil
}

// isCommand tells a command from a path: it has placeholders.
func isCommand(target string) bool { return strings.Contains(target, "{") }

// findProgram finds a directory, or a program, relative to the working
// directory, which is the package's, or to the module's root, where people type
// commands.
func findProgram(name string) (string, error) {
	tried := []string{name}
	if !filepath.IsAbs(name) {
		root, err := carry.FindRoot()
		if err != nil {
			return "", err
		}
		tried = append(tried, filepath.Join(root, name))
	}

	for _, path := range tried {
		info, err := os.Stat(path)
		if err == nil && (info.IsDir() || info.Mode()&0o111 != 0) {
			return filepath.Abs(path)
		}
	}

	here, _ := os.Getwd()
	return "", fmt.Errorf("there is no directory or program %s in %s or in the module's root; "+
		"a command must have placeholders such as {port}", name, here)
}

// A role is what a program is for: what to start when nothing else is named.
type role struct {
	dir   string // of the step's own source, relative to the package
	word  string // the subcommand for this role; "" if there is none
	alone bool   // the step's own program has no subcommand, having one role only
	flag  string // "server" or "client"
	named string // the value of that flag
}

// A launch is a program found, and its arguments.
type launch struct {
	bin  string
	args []string
	cwd  string // "" is the test's own

	output  *os.File // for both kinds of output; nil: they are kept
	ignored string   // the signal that is ignored; "" for none
	files   int      // how many descriptors each process may have open; 0: as many as the test
}

// before is what a shell does before it becomes the program: commands, each
// with the "&&" that follows it.
func (l *launch) before() (commands string) {
	if l.ignored != "" {
		commands += "trap '' " + l.ignored + " && "
	}
	if l.files != 0 {
		commands += fmt.Sprintf("ulimit -n %d && ", l.files)
	}
	return commands
}

// String is how a report names it.
func (l *launch) String() string {
	if len(l.args) == 2 && l.args[0] == "-c" {
		return l.before() + strings.TrimPrefix(l.args[1], "exec ")
	}
	return strings.TrimSpace(l.before() + filepath.Base(l.bin) + " " + strings.Join(l.args, " "))
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// template returns the command with placeholders that a role's program is
// started by; "" if it is a directory.
func (r role) template() string {
	for _, target := range []string{r.named, targets.program} {
		if target != "" {
			if isCommand(target) {
				return target
			}
			return ""
		}
	}
	return ""
}

// find returns the role's program. Of a command, values fill the placeholders;
// required are those that it must have. Of a directory the program is built,
// unless it is one that has been built already, and gets args.
func (r role) find(args []string, values map[string]string, required []string) (*launch, error) {
	if command := r.template(); command != "" {
		filled, err := fill(command, values, required)
		if err != nil {
			return nil, fmt.Errorf("-%s: %w", r.flagName(), err)
		}
		cwd := targets.in
		if cwd == "" {
			cwd, err = carry.FindRoot()
		}
		if err != nil {
			return nil, err
		}
		// The shell knows how to split words. It becomes the program, so that
		// signals reach that.
		return &launch{bin: "/bin/sh", args: []string{"-c", "exec " + filled}, cwd: cwd}, nil
	}

	dir, alone := r.dir, r.alone
	switch {
	case r.named != "":
		dir, alone = r.named, true
	case targets.program != "":
		dir, alone = targets.program, false
	}
	if r.word != "" && !alone {
		args = append([]string{r.word}, args...)
	}

	bin, err := builtFrom(dir)
	if err != nil {
		return nil, err
	}
	return &launch{bin: bin, args: args}, nil
}

// builtFrom returns the program of a directory, or the path itself if a program
// is there.
func builtFrom(path string) (bin string, err error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() {
		return path, nil
	}
	return buildOnce(path)
}

// flagName is the flag that named the program.
func (r role) flagName() string {
	if r.named != "" {
		return r.flag
	}
	return "program"
}

// can tells whether the program can be given that option.
func (r role) can(option string) bool {
	command := r.template()
	return command == "" || strings.Contains(command, "{"+option+"}")
}

// fill puts values in the place of a command's placeholders.
func fill(command string, values map[string]string, required []string) (string, error) {
	for _, name := range required {
		if !strings.Contains(command, "{"+name+"}") {
			return "", fmt.Errorf("the command must contain {%s}: %s", name, command)
		}
	}

	var unknown []string
	filled := placeholder.ReplaceAllStringFunc(command, func(p string) string {
		value, ok := values[strings.Trim(p, "{}")]
		if !ok {
			unknown = append(unknown, p)
		}
		return value
	})

	if unknown != nil {
		var known []string
		for name := range values {
			known = append(known, "{"+name+"}")
		}
		slices.Sort(known)
		return "", fmt.Errorf("unknown placeholder %s; known are %s",
			strings.Join(unknown, " "), strings.Join(known, " "))
	}
	return filled, nil
}

// again returns the command that asks one milestone again.
func again(number string) string {
	if targets.again != "" {
		return targets.again + number
	}

	pkg := "."
	if here, err := os.Getwd(); err == nil {
		if root, err := carry.FindRoot(); err == nil {
			if rel, err := filepath.Rel(root, here); err == nil {
				pkg = "./" + filepath.ToSlash(rel)
			}
		}
	}

	command := fmt.Sprintf("go test %s -run 'Spec%s/%s_'", pkg, number[:strings.IndexByte(number, '.')], number)
	for _, f := range []struct{ name, value string }{
		{"program", targets.program}, {"server", targets.server}, {"client", targets.client},
	} {
		if f.value != "" {
			command += fmt.Sprintf(" -%s '%s'", f.name, f.value)
		}
	}
	return command
}
