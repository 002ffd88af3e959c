// A program's processes: the master, its workers, what they use, and what is
// left of them.

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/proc"
)

// table returns the rows of the program's processes, zombies too.
func (p *Program) table() []proc.Info {
	p.t.Helper()
	began := time.Now()
	all, err := proc.Table()
	if err != nil {
		p.t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(q proc.Info) bool { return q.Group != p.PID })
	slices.SortFunc(all, func(a, b proc.Info) int { return a.PID - b.PID })
	p.sighted(began, all)
	return all
}

// Processes returns the pids of all living processes of the program, sorted.
func (p *Program) Processes(t testing.TB) []int {
	t.Helper()
	return pids(slices.DeleteFunc(p.table(), func(q proc.Info) bool { return !q.Alive() }))
}

// Workers returns the pids of the living children of the process that was
// started, sorted.
func (p *Program) Workers(t testing.TB) []int {
	t.Helper()
	return pids(slices.DeleteFunc(p.table(), func(q proc.Info) bool { return q.Parent != p.PID || !q.Alive() }))
}

// WaitWorkers waits until there are exactly n workers and none of those in
// except, and returns their pids.
func (p *Program) WaitWorkers(t testing.TB, within time.Duration, n int, except ...int) []int {
	t.Helper()
	var workers []int
	what := fmt.Sprintf("%d workers", n)
	if len(except) > 0 {
		what = fmt.Sprintf("%d new workers in the place of %s", n, pidList(except))
	}
	Eventually(t, within, what, func() (bool, string) {
		workers = p.Workers(t)
		old := slices.ContainsFunc(workers, func(pid int) bool { return slices.Contains(except, pid) })
		return len(workers) == n && !old, fmt.Sprintf("%d: %s", len(workers), pidList(workers))
	})
	return workers
}

// Zombies returns the pids of dead children of the process that was started
// whose exit status it has not fetched, sorted.
func (p *Program) Zombies() []int {
	p.t.Helper()
	return pids(slices.DeleteFunc(p.table(), func(q proc.Info) bool { return q.Parent != p.PID || q.Alive() }))
}

// Gone tells whether none of these processes of the program is alive any
// more. A zombie counts as alive as long as the process that should fetch its
// status is.
func (p *Program) Gone(pids ...int) bool {
	p.t.Helper()
	rows := p.table()
	return !slices.ContainsFunc(rows, func(q proc.Info) bool {
		ours := slices.ContainsFunc(rows, func(r proc.Info) bool { return r.PID == q.Parent && r.Alive() })
		return slices.Contains(pids, q.PID) && (q.Alive() || ours)
	})
}

// SignalEach sends sig to each of these processes, in one go. Those that are
// gone already don't matter.
func (p *Program) SignalEach(sig syscall.Signal, pids ...int) {
	p.t.Helper()
	p.didSignal(fmt.Sprintf("%s to %s", unix.SignalName(sig), pidsPhrase(pids)), pids...)
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			p.t.Fatalf("send %v to %d: %v", sig, pid, err)
		}
	}
}

// Freeze sends SIGSTOP to these processes and waits until they have stopped:
// a signal takes effect some time after it was sent.
func (p *Program) Freeze(pids ...int) {
	p.t.Helper()
	p.SignalEach(syscall.SIGSTOP, pids...)
	Eventually(p.t, 5*time.Second, pidsPhrase(pids)+" stopped", func() (bool, string) {
		rows := p.table()
		running := slices.ContainsFunc(rows, func(q proc.Info) bool {
			return slices.Contains(pids, q.PID) && !standsStill(q, rows)
		})
		return !running, "not all of them"
	})
}

// standsStill tells whether a process has stopped. One that has just forked
// waits until its child runs a program of its own, and is not stopped before;
// but while that child is stopped it doesn't get anywhere.
func standsStill(p proc.Info, rows []proc.Info) bool {
	return p.Stopped() || p.State == 'D' && slices.ContainsFunc(rows, func(q proc.Info) bool {
		return q.Parent == p.PID && q.Stopped()
	})
}

// CPU returns the CPU time that the program's living processes have used so
// far, in steps of about 10 ms.
func (p *Program) CPU() time.Duration {
	p.t.Helper()
	var sum time.Duration
	for _, q := range p.table() {
		if q.Alive() {
			sum += q.CPU
		}
	}
	return sum
}

// RSS returns how many bytes of memory the program's living processes use.
func (p *Program) RSS() int64 {
	p.t.Helper()
	var sum int64
	for _, q := range p.table() {
		if q.Alive() {
			sum += q.RSS
		}
	}
	return sum
}

// WantIdle waits until the program has wanted next to no CPU time for half a
// second on end: a program that spins never does.
func (p *Program) WantIdle(t testing.TB) {
	t.Helper()
	const window, most = 500 * time.Millisecond, 100 * time.Millisecond
	what := fmt.Sprintf("at most %v of CPU time wanted in some %v", most, window)
	Eventually(t, 10*window, what, func() (bool, string) {
		before := p.demand()
		time.Sleep(window) // the length of what is measured
		wanted := p.demand() - before
		return wanted <= most, wanted.Round(time.Millisecond).String()
	})
}

// demand returns the CPU time that the program's living processes have used so
// far, and the time for which they waited for a CPU: on a busy machine a
// program that spins gets little, and wants all. Where the kernel doesn't tell
// it is the time used.
func (p *Program) demand() time.Duration {
	p.t.Helper()
	var sum time.Duration
	for _, q := range p.table() {
		if !q.Alive() {
			continue
		}

		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", q.PID))
		if threads == nil {
			sum += q.CPU
		}
		for _, thread := range threads {
			var run, wait int64 // nanoseconds, see sched-stats in the kernel's documentation
			text, _ := os.ReadFile(thread)
			_, _ = fmt.Sscan(string(text), &run, &wait) // zeros of one that has just ended
			sum += time.Duration(run + wait)
		}
	}

	return sum
}

// Descriptors returns the open file descriptors of a process and what each one
// leads to, such as "socket:[4711]". A process that is gone has none. It needs
// /proc: without, it skips the test.
func Descriptors(t testing.TB, pid int) map[int]string {
	t.Helper()
	NeedProc(t)
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(dir)
	open := map[int]string{}
	for _, entry := range entries {
		if target, err := os.Readlink(dir + entry.Name()); err == nil { // else closed since
			fd, _ := strconv.Atoi(entry.Name())
			open[fd] = target
		}
	}
	return open
}

// Open returns how many file descriptors the program's processes have open.
// It needs /proc: without, it skips the test.
func (p *Program) Open(t testing.TB) int {
	t.Helper()
	sum := 0
	for _, pid := range p.Processes(t) {
		sum += len(Descriptors(t, pid))
	}
	return sum
}

// NeedProc skips a test that can't look into processes as it must.
func NeedProc(t testing.TB) {
	t.Helper()
	if !proc.HasProc() {
		t.Skip("needs Linux's /proc")
	}
}

// pidsPhrase is "pid 5" or "pids 5–7 9".
func pidsPhrase(pids []int) string {
	if len(pids) == 1 {
		return fmt.Sprintf("pid %d", pids[0])
	}
	return "pids " + pidList(pids)
}

func pids(all []proc.Info) []int {
	list := make([]int, len(all))
	for i, p := range all {
		list[i] = p.PID
	}
	return list
}
