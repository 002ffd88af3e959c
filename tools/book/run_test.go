// Running the replays: each in a bash and a directory of its own, with the
// programs of all steps. Nothing of it is left behind.

package book

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/zktest"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	replayLimit = 60 * time.Second
	nowhere     = "127.0.0.1:1" // nothing listens there
)

// programs builds what the texts run, once, as a reader does: without the race
// detector. It returns the directory of the executables.
var programs = sync.OnceValues(func() (string, error) {
	root, err := carry.FindRoot()
	if err != nil {
		return "", err
	}
	temp, err := proc.TempDir()
	if err != nil {
		return "", err
	}

	dir := filepath.Join(temp, "programs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}

	args := []string{"build", "-buildvcs=false", "-o", dir + "/"}
	for _, pattern := range []string{"step*", "final/cmd/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern, "main.go"))
		if err != nil {
			return "", err
		}
		for _, name := range found {
			args = append(args, filepath.Dir(name))
		}
	}

	cmd := exec.Command("go", args...)
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, output)
	}
	return dir, nil
})

// replay runs the commands of a block and returns what isn't as the text shows.
func replay(t *testing.T, d *Doc, b block, limit time.Duration) (problems []string) {
	t.Helper()
	steps, problems := d.steps(b)
	if problems != nil {
		return problems
	}
	for _, tool := range missing(steps) {
		return []string{d.at(b.first, "this needs %s: apt-get install %s", tool, packages[tool])}
	}
	bin, err := programs()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(bin, filepath.Join(dir, "bin")))
	ports, zk := reservePorts(t, steps), nowhere
	if usesZooKeeper.MatchString(strings.Join(b.text(d), "\n")) {
		zk = zktest.Start(t).Addr()
		_, ports["2181"], _ = strings.Cut(zk, ":")
	}
	name := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(name, []byte(script(steps, ports)), 0o600))

	// In the language of the texts, whatever the machine's is.
	p := harness.Start(t, "bash", []string{"ZK_HOSTS=" + zk, "LC_ALL=C"}, "--noprofile", "--norc", name, dir)
	late := wait(limit, p.Ended)
	outputs, finished := split(p.Stdout(), len(steps))
	for i := range finished {
		if wrong := steps[i].compare(outputs[i]); wrong != "" {
			problems = append(problems, d.at(steps[i].line, "%s", wrong))
		}
	}
	switch {
	case late:
		s := steps[finished]
		return append(problems,
			d.at(s.line, "`%s` hasn't ended %v after the beginning of this block. So far it has printed:\n%s",
				s.command, limit, shown(splitLines(outputs[finished]))))
	case finished < len(steps):
		s := steps[finished]
		return append(problems, d.at(s.line, "`%s` ended the shell, exit code %d. It has printed:\n%s",
			s.command, p.Wait(time.Second), shown(splitLines(outputs[finished]))))
	}
	if left := remaining(t, p.PID, limit/6); left != "" {
		problems = append(problems, d.at(b.last, "at the end of this block processes are left: end them in the "+
			"block, as in `kill $!`\n%s", left))
	}
	return problems
}

// reservePorts finds a free port for each that the commands name, in the same
// order.
func reservePorts(t *testing.T, steps []step) map[string]string {
	t.Helper()
	var names []string
	var free []int
	for name := range wantedPorts(steps) {
		if name == "2181" {
			continue
		}
		port, release, err := freeport.Reserve()
		require.NoError(t, err)
		t.Cleanup(release)
		names, free = append(names, name), append(free, port)
	}

	slices.Sort(names)
	slices.Sort(free)

	ports := map[string]string{}
	for i, name := range names {
		ports[name] = strconv.Itoa(free[i])
	}
	return ports
}

// wait waits for a condition, and reports whether that took too long.
func wait(limit time.Duration, condition func() bool) (late bool) {
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// remaining returns the command lines of what lives on in a process group. What
// has been told to end gets some time for it.
func remaining(t *testing.T, group int, limit time.Duration) string {
	t.Helper()
	var left []int
	late := wait(limit, func() bool {
		var err error
		left, err = proc.Living(group)
		require.NoError(t, err)
		return len(left) == 0
	})
	if !late {
		return ""
	}
	var lines []string
	for _, pid := range left {
		lines = append(lines, fmt.Sprintf("%d %s", pid, proc.CommandLine(pid)))
	}
	return shown(lines)
}

// TestReplays runs what the workbook's texts show.
func TestReplays(t *testing.T) {
	_, docs := workbook(t)
	for _, d := range docs {
		for _, b := range d.blocks {
			if b.marker == nil || b.marker.verb != "replay" {
				continue
			}
			t.Run(fmt.Sprintf("%s:%d", d.Path, b.first), func(t *testing.T) {
				report(t, replay(t, d, b, replayLimit))
			})
		}
	}
}

func TestReplayOfASmallText(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"equal", "$ echo 12 and 3\n7 and 88", ""},
		{"nothing", "$ true", ""},
		{"spaces and numbers", "$ printf ' %5d a  \\n' 7\n     123 a", ""},
		{"any number of lines", "$ seq 20\n1\n…\n19\n…\n$ echo a\n…\na\n…", ""},
		{"both channels, in their order", "$ echo a; echo b >&2; echo c\na\nb\nc", ""},
		{"one shell", "$ x=5; cd bin\n$ echo $x ${PWD##*/}\n5 bin", ""},
		{"no end of a line", "$ printf a\na\n$ echo b\nb", ""},
		{"over two lines", "$ echo a \\\n> b\na b\n$ echo c \\\n  d\nc d", ""},
		{"standard input is empty", "$ cat\n$ echo a\na", ""},
		{"quotes", "$ echo 'a' \"b\" \\'\na b '", ""},
		{"a job", "$ sleep 60 > log 2>&1 &\n[1] 4711\n$ kill $!; wait $!\n[1]+  Terminated              sleep 60\n" +
			"$ echo $?\n143", ""},
		{"a job by its number", "$ sleep 60 &\n$ kill -9 %1\n$ wait; echo a\na", ""},
		{"our programs, on a free port", "$ bin/step1-framing serve 127.0.0.1 8080 > log 2>&1 &\n" +
			"$ until grep listening log; do sleep 0.05; done\nlistening on 127.0.0.1:8080\n" +
			"$ bin/step1-framing call 127.0.0.1 8080 ping '\"a\"'\npong \"a\"\n$ kill $!", ""},
		{"in English", "$ echo $LC_ALL; nosuch 2>&1 | cut -d : -f 4\nC\n command not found", ""},
		{"two ports", "$ echo $((8081 - 8080 > 0)) 8080.1 18080\n1 1.1 1", ""},

		{"another output", "$ echo a\nb",
			"T.md:3: `echo a` doesn't print what the text shows, numbers apart.\nexpected:\n  b\ngot:\n  a"},
		{"no output", "$ true\nb", "expected:\n  b\ngot:\n  (nothing)"},
		{"a line more", "$ echo a; echo b\na", "got:\n  a\n  b"},
		{"a line less", "$ seq 3\n1\n…\n3\n4\n5", "got:\n  1\n  2\n  3"},
		{"the second command", "$ echo a\na\n$ nosuch", "T.md:5: `nosuch` doesn't print"},
		{"a syntax error", "$ do\n$ echo a\na", "T.md:3: `do` doesn't print"},
		{"no command", "a", "T.md:3: what is to be replayed begins with a command"},
		{"nothing at all", "", "T.md:3: what is to be replayed begins with a command"},
		{"the shell ends", "$ echo a\na\n$ echo b; exit 3\n$ echo c\nc",
			"T.md:5: `echo b; exit 3` ended the shell, exit code 3. It has printed:\n  b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := Parse("T.md", ticks("<!-- replay -->\n'''console\n"+c.text+"\n'''\n"))
			require.Empty(t, d.Faults())
			problems := replay(t, d, d.blocks[0], replayLimit)
			if c.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0], c.want)
		})
	}
}

func TestReplayThatHangs(t *testing.T) {
	d := Parse("T.md", ticks("<!-- replay -->\n'''console\n$ echo a\nb\n$ echo c; sleep 60\n'''\n"))
	problems := replay(t, d, d.blocks[0], time.Second)
	require.Len(t, problems, 2)
	assert.Contains(t, problems[0], "`echo a` doesn't print")
	assert.Contains(t, problems[1],
		"T.md:5: `echo c; sleep 60` hasn't ended 1s after the beginning of this block. So far it has printed:\n  c")
}

func TestReplayThatLeavesAProcess(t *testing.T) {
	d := Parse("T.md", ticks("<!-- replay -->\n'''console\n$ sleep 60 > log &\n'''\n"))
	problems := replay(t, d, d.blocks[0], 6*time.Second)
	require.Len(t, problems, 1)
	assert.Regexp(t, `T.md:4: at the end of this block processes are left: .*\n  [0-9]+ sleep 60`, problems[0])
}

func TestReplayWithZooKeeper(t *testing.T) {
	d := Parse("T.md", ticks(`<!-- replay -->
'''console
$ bin/step5-discovery server -workers 1 127.0.0.1 8080 > log 2>&1 &
$ until grep -o 'registered znode.*' log; do sleep 0.05; done
registered znode=/demo/rpc0000000000 data="{\"host\":\"127.0.0.1\",\"port\":8080}"
$ grep -c 127.0.0.1:2181 log
1
$ kill $!; wait $!
'''
`))
	assert.Empty(t, replay(t, d, d.blocks[0], replayLimit))
}

// help runs the program of a package with -h.
func help(t *testing.T, root string) func(dir string, args ...string) (string, error) {
	return func(dir string, args ...string) (string, error) {
		bin, err := built(root, dir)
		if err != nil {
			return "", err
		}
		var stdout, stderr string
		t.Run(strings.Join(append([]string{filepath.Base(dir)}, args...), "-"),
			func(t *testing.T) { // so that what it prints isn't reported
				stdout, stderr, _ = harness.Run(t, bin, "", append(args, "-h")...)
			})
		return stdout + stderr, nil
	}
}

// built builds the program of a package, if it isn't one of those that replays
// have.
func built(root, dir string) (bin string, err error) {
	common, err := programs()
	if err != nil {
		return "", err
	}
	if parent := path.Dir(dir); parent == "." || parent == "final/cmd" {
		return filepath.Join(common, path.Base(dir)), nil
	}

	temp, err := proc.TempDir()
	if err != nil {
		return "", err
	}
	bin = filepath.Join(temp, "others", filepath.FromSlash(dir))

	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin, ".")
	cmd.Dir = filepath.Join(root, filepath.FromSlash(dir)) // it may be of another module
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", dir, err, output)
	}
	return bin, nil
}

func TestCommandsRun(t *testing.T) {
	root, docs := workbook(t)
	checker := &Checker{Root: root, Help: help(t, root)}
	for _, d := range docs {
		report(t, checker.Check(d))
	}
}
