// Running a specification against a broken program: a test binary for each
// step, compiled once, and for each program one or more processes of it.

package broken

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

// root is the module's directory.
var root = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// slots bounds how many test processes run at a time. Most of the quick
// milestones wait; all of them together would keep a machine so busy that
// right programs fail, too.
var slots = sync.OnceValue(func() chan struct{} {
	if *all || *update {
		return make(chan struct{}, 2)
	}
	return make(chan struct{}, 8)
})

var binaries struct {
	sync.Mutex
	of map[string]func() (string, error) // by step
}

// testBinary returns the step's compiled tests.
func testBinary(step string) (string, error) {
	binaries.Lock()
	if binaries.of == nil {
		binaries.of = map[string]func() (string, error){}
	}
	if binaries.of[step] == nil {
		binaries.of[step] = sync.OnceValues(func() (string, error) {
			dir, err := proc.TempDir()
			if err != nil {
				return "", err
			}
			bin := filepath.Join(dir, step+".test")
			output, err := exec.Command("go", "test", "-C", filepath.Join(root, step), "-c", "-o", bin).CombinedOutput()
			if err != nil {
				return "", fmt.Errorf("compile the tests of %s: %w\n%s", step, err, output)
			}
			return bin, nil
		})
	}
	get := binaries.of[step]
	binaries.Unlock()
	return get()
}

// milestones returns the numbers of a specification's milestones, in order.
func milestones(t *testing.T, p Program) (numbers []string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, p.Step, fmt.Sprintf("spec%d_test.go", p.Spec)))
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`t\.Run\("(\d+\.\d+) `).FindAllSubmatch(source, -1) {
		numbers = append(numbers, string(m[1]))
	}
	require.NotEmpty(t, numbers)
	return numbers
}

// judge asks the milestones of the program and returns what came of each.
func judge(t *testing.T, p Program, numbers []string) map[string]verdict {
	t.Helper()
	bin, err := testBinary(p.Step)
	require.NoError(t, err)
	overlay, err := p.Overlay(root, t.TempDir())
	require.NoError(t, err)

	// The specification builds the program, and the go command takes the
	// mistake from here. Nobody debugs the program: -w saves a third of the
	// time.
	r := run{bin: bin, program: p, flags: "GOFLAGS=" + os.Getenv("GOFLAGS") + " -ldflags=-w '-overlay=" + overlay + "'"}
	if p.Command != "" {
		r.args = []string{"-program=" + harness.Build(t, filepath.Join(root, p.Command)) + " " + p.Args}
	}

	verdicts := map[string]verdict{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var errs error
	shares := max(1, p.Processes)
	for i := range shares {
		var share []string // every second, third, …: those that take long are often neighbours
		for j := i; j < len(numbers); j += shares {
			share = append(share, numbers[j])
		}
		wait.Go(func() {
			some, err := r.ask(share)
			mu.Lock()
			defer mu.Unlock()
			errs = errors.Join(errs, err)
			maps.Copy(verdicts, some)
		})
	}

	wait.Wait()
	require.NoError(t, errs)
	return verdicts
}

// A run is a specification asked of a program.
type run struct {
	bin     string // the compiled tests
	program Program
	flags   string   // for the go command, as a variable of the environment
	args    []string // of the test binary
}

// ask asks these milestones in one test process, and checks that no process is
// left of it afterwards.
func (r run) ask(numbers []string) (map[string]verdict, error) {
	slots() <- struct{}{}
	defer func() { <-slots() }()
	alternatives := strings.ReplaceAll(strings.Join(numbers, "|"), ".", `\.`)
	cmd := exec.Command(r.bin, append([]string{"-test.v", "-test.timeout=4m",
		fmt.Sprintf("-test.run=^TestSpec%d$/^(%s)_", r.program.Spec, alternatives)}, r.args...)...)
	cmd.Dir = filepath.Join(root, r.program.Step)
	mark := newMark()
	cmd.Env = append(os.Environ(), r.flags, mark)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	group, err := proc.Start(cmd)
	if err != nil {
		return nil, err
	}

	<-group.Done() // that milestones fail is in the output
	if err := errors.Join(leftovers(mark), group.Kill()); err != nil {
		return nil, fmt.Errorf("%s: %w", r.program.Name, err)
	}
	verdicts := parse(output.String())
	for _, number := range numbers {
		if _, ok := verdicts[number]; !ok {
			return nil, fmt.Errorf("%s: no word about milestone %s:\n%s", r.program.Name, number, output.String())
		}
	}
	return verdicts, nil
}

var (
	resultLine = regexp.MustCompile(`(?m)^ +--- (PASS|FAIL|SKIP): TestSpec\d+/(\d+\.\d+)_.*$`)
	// A report, from its heading to the last of its fields, indented by the
	// test framework.
	reportText = regexp.MustCompile(`(?m)^        (✗ (\d+\.\d+) (?s:.*?)^          again .*)$`)
)

// A verdict is what came of one milestone.
type verdict struct {
	failed bool
	report string // how it failed
}

// parse reads the output of go test -v.
func parse(output string) map[string]verdict {
	verdicts := map[string]verdict{}
	for _, m := range resultLine.FindAllStringSubmatch(output, -1) {
		verdicts[m[2]] = verdict{failed: m[1] == "FAIL", report: verdicts[m[2]].report}
	}
	for _, m := range reportText.FindAllStringSubmatch(output, -1) {
		v := verdicts[m[2]]
		v.report = strings.ReplaceAll(m[1], "\n        ", "\n")
		verdicts[m[2]] = v
	}
	return verdicts
}
