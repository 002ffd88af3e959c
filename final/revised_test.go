// Files of the chapters that are different here, for speed, must do all that
// the chapters' own tests ask of them.

//go:build unix

package rpc

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/harness"
)

// testsOf has, for each file that is revised here, the tests of its chapter
// that look inside it, and what those stand on; or nothing if it is another
// file by the same name, with tests of its own.
var testsOf = map[string]string{
	"message.go":   "step1-framing/m*_test.go",
	"service.go":   "",
	"conn.go":      "step2-asyncserver/[c-s]*_test.go",
	"server.go":    "step2-asyncserver/[c-s]*_test.go",
	"attempt.go":   "step6-client-watch/[cr][le]*_test.go",
	"client.go":    "step6-client-watch/[cr][le]*_test.go",
	"errand.go":    "step6-client-watch/[cr][le]*_test.go",
	"pipe.go":      "step6-client-watch/[cr][le]*_test.go",
	"remote.go":    "step6-client-watch/[cr][le]*_test.go",
	"silence.go":   "step6-client-watch/[cr][le]*_test.go",
	"supervise.go": "step4-signals/[lsw]*_test.go",
	"worker.go":    "",
	"zkflags.go":   "",
	"znodes.go":    "",
}

func TestRevisedFilesPassTheTestsOfTheirChapters(t *testing.T) {
	var patterns []string
	for _, revision := range carry.Workbook().Revisions {
		require.Contains(t, testsOf, revision.File, "it is revised: which tests look inside it?")
		if pattern := testsOf[revision.File]; pattern != "" && !slices.Contains(patterns, pattern) {
			patterns = append(patterns, pattern)
		}
	}
	for _, pattern := range patterns {
		t.Run(path.Dir(pattern), func(t *testing.T) { passes(t, pattern) })
	}
}

// passes runs the tests of a chapter. Those of this package make room for them
// as long as that takes: go is told that their files are not there, and that
// the others are.
func passes(t *testing.T, pattern string) {
	here, err := os.Getwd()
	require.NoError(t, err)
	replace := map[string]string{}
	ours, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, name := range ours {
		replace[filepath.Join(here, name)] = ""
	}

	dir, found := t.TempDir(), 0
	theirs, err := filepath.Glob(filepath.Join("..", pattern))
	require.NoError(t, err)
	for _, from := range theirs {
		name := filepath.Base(from)
		if blackBox(name) {
			continue
		}
		source, err := os.ReadFile(from)
		require.NoError(t, err)
		source = bytes.Replace(source, []byte("\npackage main\n"), []byte("\npackage rpc\n"), 1)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), source, 0o600))
		replace[filepath.Join(here, name)] = filepath.Join(dir, name)
		found++
	}

	require.Positive(t, found, pattern)
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))

	args := []string{"test", "-count=1", "-overlay", file, "."}
	if harness.RaceEnabled {
		args = append(args, "-race")
	}
	output, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}

// blackBox tells tests of programs from tests that look inside.
func blackBox(name string) bool {
	for _, pattern := range []string{"spec*", "program_test.go", "commands_test.go", "bench_test.go"} {
		if matched, _ := filepath.Match(pattern, name); matched {
			return true
		}
	}
	return false
}
