// Tests of what bare.sh says where it can't work, and of what it leaves behind:
// nothing. They have a debootstrap of their own; what is done in the system
// that the real one makes is for make bare.

//go:build unix

package bare

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// pretended is a PATH with these scripts in front.
func pretended(t *testing.T, scripts map[string]string) string {
	t.Helper()
	bin := t.TempDir()
	for name, script := range scripts {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	return "PATH=" + bin + ":" + os.Getenv("PATH")
}

func TestSaysWhatItNeeds(t *testing.T) {
	const linux, root = "echo Linux", "echo 0"
	for _, c := range []struct {
		scripts map[string]string
		release string
		says    string
	}{
		{map[string]string{"uname": "echo Darwin", "id": root}, "bookworm", "make bare needs Linux: "},
		{map[string]string{"uname": linux, "id": "echo 1000"}, "bookworm", "make bare needs root, "},
		{map[string]string{"uname": linux, "id": root, "debootstrap": ":", "git": ":", "unshare": "exit 1"}, "bookworm",
			"make bare needs namespaces, which not even root can make here"},
		{map[string]string{"uname": linux, "id": root}, "",
			"make bare needs a release of Debian, as in make bare RELEASE=bookworm\n"},
		// A shell finds nothing but its own commands in an empty PATH.
		{nil, "bookworm",
			"make bare needs debootstrap. On Debian and Ubuntu: apt-get install debootstrap util-linux git\n"},
	} {
		args := []string{"bare.sh"}
		if c.release != "" {
			args = append(args, c.release)
		}
		script := exec.Command("/bin/sh", args...)
		script.Env = []string{pretended(t, c.scripts)}
		if c.scripts == nil {
			path := pretended(t, map[string]string{"uname": linux, "id": root})
			script.Env = []string{path[:len(path)-len(":"+os.Getenv("PATH"))]}
		}

		output, err := script.CombinedOutput()
		assert.Error(t, err)
		assert.Contains(t, string(output), c.says)
	}
}

func TestLeavesNothing(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("needs Linux and root, as make bare does")
	}

	err := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "true").Run()
	if err != nil {
		t.Skip("this system lets nobody make namespaces:", err)
	}

	// It mounts something, and starts a process that is deaf to all but
	// SIGKILL.
	const debootstrap = `for word; do case $word in */base) base=$word ;; esac; done
mkdir -p "$base/mounted"
mount -t tmpfs tmpfs "$base/mounted"
(trap '' HUP INT QUIT TERM; sleep 600) &
: >"$base/ready"
`

	for _, c := range []struct {
		name   string
		rest   string // of what the debootstrap does
		signal func(pid int) error
		code   int
	}{
		{"Ctrl-C", "sleep 600", func(pid int) error { return syscall.Kill(-pid, syscall.SIGINT) }, 130},
		{"SIGTERM to it alone", "sleep 600", func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }, 143},
		{"a failure", "echo no mirror; exit 1", nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			temp := t.TempDir()
			mark := fmt.Sprintf("BARE_TEST=%d.%s", os.Getpid(), c.name)
			script := exec.Command("/bin/sh", "bare.sh", "bookworm")
			script.Env = append(os.Environ(), "TMPDIR="+temp, mark, pretended(t, map[string]string{
				"debootstrap": debootstrap + c.rest, "git": "exit 0",
			}))

			script.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			require.NoError(t, script.Start())

			if c.signal != nil {
				harness.Eventually(t, time.Minute, "a debootstrap at work", func() (bool, string) {
					ready, _ := filepath.Glob(filepath.Join(temp, "bare-*/base/ready"))
					return len(ready) == 1, fmt.Sprint(ready)
				})
				require.NoError(t, c.signal(script.Process.Pid))
			}

			_ = script.Wait()
			assert.Equal(t, c.code, script.ProcessState.ExitCode())
			left, err := os.ReadDir(temp)
			require.NoError(t, err)
			assert.Empty(t, left)

			mounted, err := os.ReadFile("/proc/mounts")
			require.NoError(t, err)
			assert.NotContains(t, string(mounted), temp)
			harness.Eventually(t, 10*time.Second, "no process left", func() (bool, string) {
				all, err := proc.Marked(mark)
				return err == nil && len(all) == 0, fmt.Sprint(all, err)
			})
		})
	}
}
