// The test: every chapter's specification, asked of every program that claims
// that chapter.

package right

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// A program is a server that is right, and the chapters that it claims, from 1
// to the last. In chapter 6 the client is that chapter's own.
type program struct {
	name    string
	last    int
	command func(t *testing.T, chapter int) string
}

var programs = []program{
	{
		name: "Python",
		last: 4,
		command: func(t *testing.T, _ int) string {
			python, err := exec.LookPath("python3")
			if err != nil {
				t.Skip("not asked: there is no python3 here")
			}
			return python + " tools/right/server.py {host} {port} {workers}" // as TEACHING has it
		},
	},
	{
		name: "goroutines",
		last: 6,
		command: func(t *testing.T, chapter int) string {
			command := harness.Build(t, "goroutines") + " -workers={workers} -grace={grace}s"
			if chapter >= 5 {
				command += " -zk={zk} -root={root} -session={session}s -advertise={advertise}"
			}
			return command + " {host} {port}"
		},
	},
}

func TestRightProgramsAreGreen(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for chapter := 1; chapter <= p.last; chapter++ {
				t.Run(fmt.Sprint("chapter ", chapter), func(t *testing.T) { p.ask(t, chapter) })
			}
		})
	}
}

var (
	asked  = regexp.MustCompile(`t\.Run\("(\d+\.\d+) `)
	result = regexp.MustCompile(`(?m)^ +--- (PASS|FAIL|SKIP): TestSpec\d/(\d+\.\d+)_`)
)

// quiet is held by those who want the machine for themselves. Chapters 4 to 6
// mostly wait, and may do so together.
var quiet sync.RWMutex

// ask asks a chapter's specification of the program.
func (p program) ask(t *testing.T, chapter int) {
	t.Helper()
	command := p.command(t, chapter)
	steps, err := filepath.Glob(fmt.Sprintf("../../step%d-*", chapter))
	require.NoError(t, err)
	require.Len(t, steps, 1)
	source, err := os.ReadFile(filepath.Join(steps[0], fmt.Sprintf("spec%d_test.go", chapter)))
	require.NoError(t, err)

	bin := filepath.Join(t.TempDir(), "spec.test")
	output, err := exec.Command("go", "test", "-C", steps[0], "-c", "-o", bin).CombinedOutput()
	require.NoError(t, err, "%s", output)

	role := "-program="
	if chapter == 6 {
		role = "-server="
	}
	cmd := exec.Command(bin, "-test.v", fmt.Sprintf("-test.run=^TestSpec%d$", chapter), role+command)
	cmd.Dir = steps[0]
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if chapter <= 3 { // how connections spread is a statistic, and newcomers have a time limit
		quiet.Lock()
		defer quiet.Unlock()
	} else {
		quiet.RLock()
		defer quiet.RUnlock()
	}
	group, err := proc.Start(cmd)
	require.NoError(t, err)
	<-group.Done()
	require.NoError(t, group.Kill())

	results := map[string]string{}
	for _, m := range result.FindAllStringSubmatch(said.String(), -1) {
		results[m[2]] = m[1]
	}
	wanted := map[string]string{}
	for _, m := range asked.FindAllStringSubmatch(string(source), -1) {
		wanted[m[1]] = "PASS"
	}
	assert.Equal(t, wanted, results, "%s", reports(said.String()))
}

// reports returns what a run said of milestones that failed, and all that it
// said if there are none.
func reports(said string) string {
	var kept []string
	keep := false

	for line := range strings.Lines(said) {
		switch {
		case strings.Contains(line, "✗ "):
			keep = true
		case strings.Contains(line, "--- "), strings.Contains(line, "all that happened"):
			keep = false
		}
		if keep {
			kept = append(kept, line)
		}
	}

	if kept == nil {
		return said
	}
	return strings.Join(kept, "")
}
