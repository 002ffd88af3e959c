// One ZooKeeper process: the JVM, the lifeline that makes it die with us, and
// its output.
package zkdev

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// The shell becomes the JVM, so that the JVM is our own child: we signal it and
// learn of its death without any race for its pid. What it leaves running, the
// guard, waits on the read end of a pipe, the lifeline, whose only write end we
// hold. If we die, in whatever way, that reads the end instead of a word, and
// JVM and directory go. The first word says that the JVM is gone already, and
// its pid perhaps somebody else's; the second one that the directory is not to
// be removed.
//
// The guard ignores signals to its process group; the kernel sends SIGHUP when
// we die while the JVM is paused. A dying JVM can still make a file where rm
// has just been.
const guardedExec = `{
	trap '' HUP INT QUIT TERM
	read word || kill -9 $$
	read word || for try in 1 2 3 4 5; do rm -rf "$0" && break; sleep 1; done
} <&3 &
exec "$@" 3<&-`

var javaFlags = []string{
	"-Xms16m", "-Xmx64m", "-Xss256k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // small, and up in half a second
	"-XX:-UsePerfData", // its file in the temporary directory would survive SIGKILL
	"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", // enough to say why it does not start
	// What the kernel holds survives SIGKILL; fsync only adds the disk's
	// stalls.
	"-Dzookeeper.forceSync=no",
}

// process is a JVM that was started. Its methods are called by one goroutine at
// a time.
type process struct {
	cmd      *exec.Cmd
	lifeline *os.File
	done     chan struct{} // closed when the JVM is reaped
	paused   bool
}

// startProcess runs that class of ZooKeeper in dir with the configuration file,
// adding its output to the file output. If this program dies before dismiss,
// dir is removed.
//
// The temporary directory may be called anything, and Java makes letters of a
// path by the locale, but of what a configuration says by Latin-1: so that
// names nothing outside dir.
func startProcess(found Installation, mainClass, dir, config string, output *os.File) (*process, error) {
	hold, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make ZooKeeper's lifeline: %w", err)
	}
	defer hold.Close()

	args := append([]string{"-c", guardedExec, dir, found.Java}, javaFlags...)
	args = append(args, "-cp", found.ClassPath, "org.apache.zookeeper.server."+mainClass, config)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = output, output // a file: a pipe would have to be read, and would delay Wait
	cmd.ExtraFiles = []*os.File{hold}
	// Its own process group: Ctrl-C is for us, and we decide when ZooKeeper
	// ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		lifeline.Close()
		return nil, fmt.Errorf("start ZooKeeper: %w", err)
	}

	p := &process{cmd: cmd, lifeline: lifeline, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		lifeline.WriteString("reaped\n")
		close(p.done)
	}()
	return p, nil
}

// signal does nothing when the JVM is gone.
func (p *process) signal(sig syscall.Signal) { p.cmd.Process.Signal(sig) }

// pause returns when the last thread of the JVM has stopped. Only wait says so;
// if the JVM dies meanwhile, this reaps it.
func (p *process) pause() {
	if p.paused {
		return // it is reported only once
	}
	p.paused = true
	p.signal(syscall.SIGSTOP)
	for {
		if _, err := syscall.Wait4(p.cmd.Process.Pid, nil, syscall.WUNTRACED, nil); err != syscall.EINTR {
			return
		}
	}
}

func (p *process) resume() {
	p.paused = false
	p.signal(syscall.SIGCONT)
}

// kill returns when the JVM is reaped, so that its port is free.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// dismiss ends the guard of a JVM that is reaped. Until then the guard still
// minds the directory.
func (p *process) dismiss() {
	p.lifeline.WriteString("keep\n")
	p.lifeline.Close()
}

// lastWords is what a JVM said, without the stack traces' long tails, and not
// more than about 2,000 bytes of it.
func lastWords(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}

	var kept []string
	size := 0
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	for i := len(lines) - 1; i >= 0 && size < 2000; i-- {
		if !strings.HasPrefix(lines[i], "\tat ") {
			kept = append([]string{lines[i]}, kept...)
			size += len(lines[i])
		}
	}
	return strings.Join(kept, "\n")
}
