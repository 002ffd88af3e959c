// A slow disk: ZooKeeper answers a change when its log is safe on the disk, so
// what it feels of a slow one is an fdatasync that takes long. We hold up that
// system call, as a debugger does.

package zkdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loggers is how the names of the threads that write ZooKeeper's log begin.
const loggers = "SyncThread:"

// SlowDisk has each fsync of the log of changes take longer by delay until heal
// is called, which may be done more than once and returns when all is as
// before. The server must have been started with the setting "forceSync=yes",
// or it never waits for the disk; it must not be paused meanwhile. Linux only.
// It works on the JVM that runs now: after a Restart the disk is as fast as
// ever. It fails if this process may not trace another.
func (s *Server) SlowDisk(delay time.Duration) (heal func(), err error) {
	d := &disk{
		pid: s.PID(), delay: delay, threads: make(map[int]*logger),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	begun := make(chan error, 1)
	go d.run(begun)
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("slow down ZooKeeper's disk: %w", err)
	}
	return sync.OnceFunc(func() {
		close(d.stop)
		<-d.done
	}), nil
}

// A disk slows down one JVM. All its tracing is done on one thread, as the
// kernel wants it.
type disk struct {
	pid        int
	delay      time.Duration
	threads    map[int]*logger // by thread id
	stop, done chan struct{}
}

// A logger is a traced thread.
type logger struct {
	stopped bool
	until   time.Time // when to let it go on; zero while it is not being held up
}

func (d *disk) run(begun chan<- error) {
	defer close(d.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	err := d.seize() // there may be none at the moment: who looks for a leader writes nothing
	begun <- err
	if err != nil {
		d.release()
		return
	}
	for turn := 1; ; turn++ {
		select {
		case <-d.stop:
			d.release()
			return
		case <-time.After(time.Millisecond): // waiting for all of them would take the status of other children, too
		}
		if turn%50 == 0 {
			_ = d.seize() // a member that changes its role has another thread
		}
		for tid, t := range d.threads {
			d.look(tid, t)
		}
	}
}

// seize begins to trace the threads that write the log.
func (d *disk) seize() error {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", d.pid))
	if err != nil {
		return err
	}

	for _, name := range names {
		text, _ := os.ReadFile(name) // nothing if the thread has just ended
		tid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if !strings.HasPrefix(string(text), loggers) || d.threads[tid] != nil {
			continue
		}

		err := unix.PtraceSeize(tid)
		if err == nil {
			err = unix.PtraceInterrupt(tid) // from its next stop on we see its system calls
		}
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("ptrace", err)
		}
		d.threads[tid] = &logger{}
	}
	return nil
}

// look sees to a thread that has stopped, and to one that has been held up for
// long enough.
func (d *disk) look(tid int, t *logger) {
	switch {
	case t.stopped && time.Now().Before(t.until):
		return
	case t.stopped:
		d.resume(tid, t, 0)
		return
	}

	var status unix.WaitStatus
	got, err := unix.Wait4(tid, &status, unix.WALL|unix.WNOHANG, nil)
	switch {
	case err != nil && !errors.Is(err, unix.EINTR), got == tid && !status.Stopped():
		delete(d.threads, tid) // it has ended
	case got != tid:
	case status.StopSignal() == syscall.SIGTRAP|tracedCall:
		t.stopped = true
		if asksForDisk(tid) {
			t.until = time.Now().Add(d.delay)
			return
		}
		d.resume(tid, t, 0)
	case status>>16 == unix.PTRACE_EVENT_STOP:
		_ = unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACESYSGOOD)
		d.resume(tid, t, 0)
	default:
		d.resume(tid, t, int(status.StopSignal()))
	}
}

// resume lets a thread go on until its next system call, with a signal if there
// is one for it.
func (d *disk) resume(tid int, t *logger, signal int) {
	t.stopped, t.until = false, time.Time{}
	_ = unix.PtraceSyscall(tid, signal) // if it fails the thread has been killed, which the next look finds
}

// release ends the tracing of all threads.
func (d *disk) release() {
	for tid, t := range d.threads {
		if !t.stopped {
			_ = unix.PtraceInterrupt(tid)
			_, _ = unix.Wait4(tid, nil, unix.WALL, nil) // returns at once: it stops, or has ended
		}
		_ = unix.PtraceDetach(tid)
	}
}

// tracedCall marks the signal of a stop at a system call.
const tracedCall = 0x80

// asksForDisk tells whether a thread that has stopped at a system call is about
// to wait for the disk.
func asksForDisk(tid int) bool {
	const getSyscallInfo, entry = 0x420e, 1 // see ptrace(2)
	var info struct {
		op     uint8
		_      [3]byte
		_      uint32
		_      [2]uint64
		number uint64
		_      [7]uint64
	}

	size := unsafe.Sizeof(info)
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE,
		getSyscallInfo, uintptr(tid), size, uintptr(unsafe.Pointer(&info)), 0, 0)
	return errno == 0 && info.op == entry && (info.number == unix.SYS_FDATASYNC || info.number == unix.SYS_FSYNC)
}
