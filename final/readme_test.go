// What the README says is true: the flags are those of the programs, the tests
// that it names are there, and what a reader copies out of it for a program of
// his own works.

//go:build unix

package rpc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

// section returns the README's text from a heading to the next one of its
// level, or of a higher one.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, after, found := strings.Cut("\n"+string(text), "\n"+heading+"\n")
	require.True(t, found, "no %q in the README", heading)
	level, _, _ := strings.Cut(heading, " ")
	if end := regexp.MustCompile("\n#{2," + strconv.Itoa(len(level)) + "} ").FindStringIndex(after); end != nil {
		return after[:end[0]]
	}
	return after
}

// tableRows returns the cells of a text's table rows, without heads.
func tableRows(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|-"): // the row before was the head
			rows = rows[:len(rows)-1]
		case strings.HasPrefix(line, "|"):
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			rows = append(rows, cells)
		}
	}

	return rows
}

var (
	helpFlag    = regexp.MustCompile(`(?m)^  -([a-z-]+)(?: \S+)?(?:\n    )?\t(.*)$`)
	helpDefault = regexp.MustCompile(`\(default "?([^")]*)"?\)$`)
	rowFlag     = regexp.MustCompile("^`-([a-z-]+)(?: [A-Za-z:,]+)?`$")
)

// Every flag is in the table, no other is, and the defaults are right.
func TestReadmeFlags(t *testing.T) {
	for _, command := range []string{"server", "client"} {
		p := harness.Start(t, harness.Build(t, "./cmd/"+command), []string{"ZK_HOSTS="}, "-h")
		require.Zero(t, p.Wait(soon))

		want := map[string]string{}
		for _, flag := range helpFlag.FindAllStringSubmatch(p.Stderr(), -1) {
			want[flag[1]] = "–"
			if match := helpDefault.FindStringSubmatch(flag[2]); match != nil {
				want[flag[1]] = "`" + match[1] + "`"
			}
		}
		if command == "server" {
			require.Equal(t, "`"+strconv.Itoa(runtime.GOMAXPROCS(0))+"`", want["workers"])
			want["workers"] = "`GOMAXPROCS`"
		}
		require.Greater(t, len(want), 5, p.Stderr())

		got := map[string]string{}
		for _, row := range append(tableRows(section(t, "### Flags of `"+command+"`")),
			tableRows(section(t, "### Flags of both"))...) {
			flag := rowFlag.FindStringSubmatch(row[0])
			require.NotNil(t, flag, row)
			got[flag[1]] = row[1]
		}

		assert.Equal(t, want, got, command)
	}
}

// named returns what a pattern finds in files.
func named(t *testing.T, pattern string, globs ...string) map[string]bool {
	t.Helper()
	all := map[string]bool{}

	for _, glob := range globs {
		files, err := filepath.Glob(glob)
		require.NoError(t, err)
		require.NotEmpty(t, files, glob)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
				all[match[1]] = true
			}
		}
	}

	return all
}

// Every guarantee names its test, and every test of a fault is in the table.
func TestReadmeGuarantees(t *testing.T) {
	got := map[string]bool{}
	for _, row := range tableRows(section(t, "## Guarantees")) {
		got[strings.Trim(row[2], "`")] = true
	}
	assert.Equal(t, named(t, `(?m)^func TestFault([A-Za-z]+)\(`, "system/*_test.go"), got)
}

// The milestones and tests that hold us to better than the tutorial are there.
func TestReadmeAppendix(t *testing.T) {
	milestones := named(t, `"([1-6]\.[0-9]+) `, "spec?_test.go")
	tests := named(t, `(?m)^func (Test[A-Za-z0-9]+)\(`, "*_test.go", "../step*/*_test.go", "system/*_test.go")
	rows := tableRows(section(t, "## Appendix: the tutorial's sixteen bugs"))
	require.Len(t, rows, 16)
	for i, row := range rows {
		require.Len(t, row, 4, row)
		assert.Equal(t, strconv.Itoa(i+1), row[0])
		for name := range strings.SplitSeq(row[3], ", ") {
			name = strings.Trim(name, "`")
			assert.True(t, milestones[name] || tests[name], "%s is neither a milestone nor a test", name)
		}
	}
}

// A reader copies the example, makes it a module of their own, builds it as it
// is said there, and calls the server with the client.
func TestReadmeExample(t *testing.T) {
	match := regexp.MustCompile("(?s)\n```sh\n(.*?)```\n").FindStringSubmatch(section(t, "## In a program of your own"))
	require.NotNil(t, match)
	dir := filepath.Join(t.TempDir(), "coursework")
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	build := exec.Command("sh", "-ec", strings.ReplaceAll(match[1], "../coursework", "'"+dir+"'"))
	build.Dir = root
	// Nothing is fetched, and no checksum asked for: the workbook needs the
	// same.
	build.Env = append(os.Environ(), "GOPROXY=off", "GOSUMDB=nowhere.invalid")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	assert.Contains(t, string(mod), fmt.Sprintf("\nreplace example.com/rpcworkbook => %s\n", root))

	zookeeper := []string{"-zk", zktest.Start(t).Addr()}
	server := harness.Start(t, filepath.Join(dir, "bin/server"), nil, append(zookeeper, "127.0.0.1", "0")...)
	call := func(text string) (output string, code int) {
		p := harness.Start(t, filepath.Join(dir, "bin/client"), nil, append(zookeeper, text)...)
		code = p.Wait(soon)
		return p.Stdout() + p.Stderr(), code
	}
	said, code := call("hello, world")
	assert.Zero(t, code, said)
	assert.Regexp(t, `(?m)^HELLO, WORLD$`, said)
	said, code = call("")
	assert.Equal(t, 1, code)
	assert.Contains(t, said, "upper: params must not be empty")
	server.Signal(syscall.SIGTERM)
	assert.Zero(t, server.Wait(soon), server.Stderr())
}
