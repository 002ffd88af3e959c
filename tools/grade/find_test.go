package grade

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLayouts(t *testing.T) {
	for _, c := range []struct {
		files                    map[string]string
		program, command, client string
		problem                  string
	}{
		{files: map[string]string{"main.go": "", "README": ""}, program: "."},
		{files: map[string]string{"_mine/main.go": "", "step1/main.go": ""}, program: "_mine"},
		{files: map[string]string{"command": "# how\n\npython3 s.py {host} {port}\n", "main.go": ""},
			program: ".", command: "python3 s.py {host} {port}"},
		{files: map[string]string{"_mine/command": "s {host}", "_mine/command-client": "c {zk}"},
			program: "_mine", command: "s {host}", client: "c {zk}"},
		{files: map[string]string{"command": "python3 s.py"}, problem: "such as: python3 server.py {host} {port}"},
		{files: map[string]string{"command": "a {host}\nb {host}"}, problem: "more than one line"},
		{files: map[string]string{"src/main.go": ""}, problem: "no Go program in it or in _mine"},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}

		var s submission
		err := s.look(dir)
		if c.problem != "" {
			assert.ErrorContains(t, err, c.problem, c.files)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, submission{program: c.program, command: c.command, client: c.client}, s)
	}

	_, err := find(t.TempDir())
	assert.ErrorContains(t, err, "it is to have a directory for each student")
}

func TestCopy(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.MkdirAll(filepath.Join(from, ".git", "objects"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(from, "d"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(from, "d", "run"), []byte("x"), 0o700))
	for name, target := range map[string]string{
		"in": "d/run", "d/up": "../d", "d/out": "../../secret", "away": "/etc/passwd",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(from, name)))
	}

	require.NoError(t, copyTree(from, to))
	text, err := os.ReadFile(filepath.Join(to, "d", "up", "run"))
	require.NoError(t, err)
	assert.Equal(t, "x", string(text))
	assert.FileExists(t, filepath.Join(to, "in"))
	for _, name := range []string{".git", "d/out", "away"} {
		_, err := os.Lstat(filepath.Join(to, name))
		assert.ErrorIs(t, err, os.ErrNotExist, name)
	}
	info, err := os.Stat(filepath.Join(to, "d", "run"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode())

	require.NoError(t, os.Truncate(filepath.Join(from, "d", "run"), maxBytes+1))
	assert.ErrorContains(t, copyTree(from, to+"2"), "more than 128 MiB")
}
