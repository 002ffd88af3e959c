// The watchdog: a shell in its own process group, at the other end of a pipe.
// However this process ends (a panic, a timeout, Ctrl-C, SIGKILL), the pipe
// closes, and the shell kills every process group that is still on its list,
// and on Linux whatever bears one of our marks, and removes the temporary
// directory. No other way of cleaning up survives a SIGKILL, so there is no
// other.

package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// watchdogScript keeps a list of process groups ("+ 123" adds, "- 123"
// removes) until its standard input ends. A dying process can still make a
// file where rm has just been.
const watchdogScript = `
trap '' INT HUP TERM QUIT
groups=' '
while read -r verb id; do
	case $verb in
	+) groups="$groups$id " ;;
	-) groups="${groups%%" $id "*} ${groups#*" $id "}" ;;
	esac
done
for id in $groups; do kill -s KILL -- "-$id"; done
for try in 1 2 3 4 5 6 7 8 9; do
	left=
	case $2 in RPC_TEST_?*) left=$(grep -lsaF -e "$2" /proc/[0-9]*/environ) ;; esac
	for id in $left; do id=${id#/proc/}; kill -s KILL "${id%/environ}"; done
	test -n "$left" || break
done
for try in 1 2 3 4 5; do rm -rf -- "$1" && break; sleep 1; done
`

var theWatchdog watchdog

// watchdog is this process's end of it. It starts with the first use.
type watchdog struct {
	mu    sync.Mutex
	dir   string         // temporary files of this process
	stdin io.WriteCloser // the pipe
	cmd   *exec.Cmd      // nil until the first use, and after the end
}

// TempDir returns a directory that is removed when this process ends, in
// whatever way. Every call returns the same one. The first call starts the
// watchdog, and so does the first Start.
func TempDir() (string, error) {
	theWatchdog.mu.Lock()
	defer theWatchdog.mu.Unlock()
	err := theWatchdog.start()
	return theWatchdog.dir, err
}

// End kills the groups that are left, removes the TempDir and returns when that
// is done. Call it last; without, the watchdog does the same right after this
// process.
func End() { theWatchdog.end() }

// start starts the shell, once. The caller holds mu.
func (w *watchdog) start() error {
	if w.cmd != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "rpcworkbook-")
	if err != nil {
		return fmt.Errorf("make a directory for programs and output: %w", err)
	}

	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "watchdog", dir, markPrefix)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of Ctrl-C's reach
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("make the watchdog's pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the watchdog: %w", err)
	}
	w.dir, w.stdin, w.cmd = dir, stdin, cmd
	return nil
}

// tell adds a process group to the list, or removes one that is gone: its
// number may be used again.
func (w *watchdog) tell(verb rune, group int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.start(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w.stdin, "%c %d\n", verb, group); err != nil {
		return fmt.Errorf("tell the watchdog: %w", err)
	}
	return nil
}

// end lets the watchdog do its work and waits for it.
func (w *watchdog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd == nil {
		return
	}
	w.stdin.Close()
	_ = w.cmd.Wait()
	w.cmd = nil
}
