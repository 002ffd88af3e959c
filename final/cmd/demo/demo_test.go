// Tests of the demo from outside: one whole performance, and two that are cut
// short.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// performance starts the demo with the server's program beside it.
func performance(t *testing.T) *harness.Program {
	t.Helper()
	demo, server := harness.Build(t, "."), harness.Build(t, "../server")
	err := os.Symlink(server, filepath.Join(filepath.Dir(demo), "server"))
	require.True(t, err == nil || errors.Is(err, fs.ErrExist), "%v", err)
	return harness.Start(t, demo, nil)
}

func TestDemo(t *testing.T) {
	demo := performance(t)
	code := demo.Wait(2 * time.Minute)
	output := demo.Stdout()
	require.Zero(t, code, "%s\n%s", output, demo.Stderr())
	for _, line := range []string{
		`  10000000  3\.14159262176   3\.2e-08  [AB]`,
		` B is told to stop: SIGTERM   drops B in .*  B's last after `,
		` worker of A killed: SIGKILL  keeps A  .*  A answers in `,
		` master of A killed: SIGKILL  drops A in \d+\.\d\d s \*  +A's last after `,
		`(?m)^  calls        [1-9]\d{2,}; `,
		`(?m)^  failed       0$`,
		`(?m)^  server A     [1-9]\d* answered, at 127\.0\.0\.1:`,
		`(?m)^  server B     [1-9]\d* answered, at 127\.0\.0\.1:`,
		`(?m)^  left behind  no process$`,
	} {
		assert.Regexp(t, regexp.MustCompile(line), output)
	}
	assert.Empty(t, demo.Stderr())
	assertReadable(t, output)
	assertGone(t, output)
}

// It is interrupted when there is most to clean up: ZooKeeper, two servers and
// calls under way.
func TestDemoInterrupted(t *testing.T) {
	demo := performance(t)
	awaitOutput(t, demo, "2. ")
	demo.Signal(syscall.SIGINT)
	assert.Equal(t, 1, demo.Wait(20*time.Second))
	output := demo.Stdout()
	assert.Contains(t, output, "\nInterrupted: ")
	assert.Regexp(t, `(?m)^  failed       0$`, output)
	assert.Regexp(t, `(?m)^  left behind  no process$`, output)
	assertReadable(t, output)
	assertGone(t, output)
}

func TestDemoKilled(t *testing.T) {
	demo := performance(t)
	awaitOutput(t, demo, "2. ")
	demo.Kill()
	assertGone(t, demo.Stdout())
}

func awaitOutput(t *testing.T, demo *harness.Program, text string) {
	t.Helper()
	harness.Eventually(t, time.Minute, "output with "+text, func() (bool, string) {
		require.False(t, demo.Ended(), "%s", demo.Stdout())
		return strings.Contains(demo.Stdout(), text), demo.Stdout()
	})
}

// assertReadable looks for lines that are too long and for control characters.
func assertReadable(t *testing.T, output string) {
	t.Helper()
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		assert.LessOrEqual(t, utf8.RuneCountInString(line), 80, "%s", line)
		assert.NotRegexp(t, `[[:cntrl:]]`, line)
	}
}

// assertGone waits until nothing is left of the programs that the output
// names: the demo started each in a process group of its own.
func assertGone(t *testing.T, output string) {
	t.Helper()
	named := regexp.MustCompile(`(?:process|master) (\d+)`).FindAllStringSubmatch(output, -1)
	require.GreaterOrEqual(t, len(named), 3, "ZooKeeper and two masters in: %s", output)
	for _, match := range named {
		group, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		harness.Eventually(t, 10*time.Second, "nothing left of "+match[0], func() (bool, string) {
			pids, err := harness.Living(group)
			require.NoError(t, err)
			return len(pids) == 0, fmt.Sprintf("processes %v", pids)
		})
	}
}
