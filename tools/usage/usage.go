//go:build linux

// Package usage reads what processes have used, and hold: processor time and
// memory. Both benchmarks look at those of the servers. It also tells how busy
// the machine was as a whole.
package usage

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime returns the processor time that the processes have used together, to
// the nanosecond: their CPU clocks. /proc/PID/stat counts in steps of 10 ms.
func CPUTime(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		const scheduled = 2 // the kind of clock; without another bit it counts all threads
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|scheduled), &ts); err != nil {
			return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// Idle returns the time for which the machine's processors have had nothing to
// do since it was started, all of them together, in steps of 10 ms.
func Idle() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}

	// cpu  user nice system idle iowait irq softirq steal …
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(line)
	if len(words) < 6 || words[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	idle, err1 := strconv.ParseInt(words[4], 10, 64)
	waiting, err2 := strconv.ParseInt(words[5], 10, 64)

	const tick = 10 * time.Millisecond // USER_HZ is 100 on everything that Go runs on
	return time.Duration(idle+waiting) * tick, errors.Join(err1, err2)
}

// Memory returns the bytes in memory of a server's processes, and the plain
// sum of their RSS. In resident, the pages of files, which is the program's
// code, count once, however many processes of the server share them. Pss would
// not do: it halves the code of a server whose program is running elsewhere,
// too, as our own load generator is.
func Memory(pids []int) (resident, rss int64, err error) {
	var files int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
		}

		all, anonymous := field(string(text), "Rss:"), field(string(text), "Anonymous:")
		rss += all
		resident += anonymous
		files = max(files, all-anonymous)
	}
	return resident + files, rss, nil
}

// field returns the bytes in a line such as "Rss:  1776 kB".
func field(text, name string) int64 {
	_, rest, _ := strings.Cut(text, "\n"+name)
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	kilobytes, _ := strconv.ParseInt(words[0], 10, 64)
	return kilobytes << 10
}
