//go:build unix

// Package demotest tests a demo command from outside: one whole performance,
// and two that are cut short.
package demotest

import (
	"fmt"
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
	"example.com/rpcworkbook/internal/proc"
)

// Whole waits for the end of a demo that has just been started, which all must
// go well in.
func Whole(t *testing.T, demo *harness.Program) {
	t.Helper()
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

// Interrupted interrupts a demo when there is most to clean up: the registry,
// two servers and calls under way.
func Interrupted(t *testing.T, demo *harness.Program) {
	t.Helper()
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

// Killed kills a demo at the same moment.
func Killed(t *testing.T, demo *harness.Program) {
	t.Helper()
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
	require.GreaterOrEqual(t, len(named), 3, "the registry and two masters in: %s", output)
	for _, match := range named {
		group, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		harness.Eventually(t, 10*time.Second, "nothing left of "+match[0], func() (bool, string) {
			pids, err := proc.Living(group)
			require.NoError(t, err)
			return len(pids) == 0, fmt.Sprintf("processes %v", pids)
		})
	}
}
