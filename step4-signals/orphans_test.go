// A test of the program from outside: what becomes of its workers when the
// master dies at a bad moment.

//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// The master dies in the middle of a stop, and a worker is stopped: the port
// doesn't stay open with callers in it. The processes are in the test's group:
// the kernel would wake up those of a group that nobody outside looks after.
func TestPortIsClosedWhenTheMasterDiesInAStop(t *testing.T) {
	for pause := range 5 {
		master := exec.Command(harness.Build(t, "."), "-workers", "2", "127.0.0.1", "0")
		master.Env = append(os.Environ(), partVar+"=", "GORACE=atexit_sleep_ms=0")
		output, err := master.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, master.Start())
		lines := bufio.NewReader(output)
		var addr string
		var pid, a, b int
		_, err = fmt.Fscanf(lines, "listening on %s\nmaster %d, workers %d %d\n", &addr, &pid, &a, &b)
		require.NoError(t, err)

		require.NoError(t, unix.Kill(a, unix.SIGSTOP))
		require.NoError(t, unix.Kill(pid, unix.SIGTERM))
		time.Sleep(time.Duration(pause) * refuseDelay / 5)
		require.NoError(t, unix.Kill(pid, unix.SIGKILL))
		_ = master.Wait()
		harness.Eventually(t, patience, "connections refused", func() (bool, string) {
			conn, err := net.DialTimeout("tcp", addr, patience)
			if err == nil {
				conn.Close()
				return false, "connected"
			}
			return true, ""
		})
		_ = unix.Kill(a, unix.SIGKILL)
	}
}
