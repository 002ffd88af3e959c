// What one measurement is asked for and what it gives: calls, latencies, and
// what the server's processes used meanwhile.

//go:build linux

package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Job is one measurement, as it is handed to a driver.
type Job struct {
	Driver string   // which one, see Drive
	Addr   string   // of the server, "127.0.0.1:port"
	Addrs  []string // of all servers, where there may be several
	PIDs   []int    // of their processes
	Conns  int      // connections, or points to stop at for the driver of idle ones
	Depth  int      // calls outstanding on each connection
	Reply  string   // the body of each reply, for drivers that speak frames
	Warm   time.Duration
	Window time.Duration // what is counted, after the warm-up
}

// meter measures what processes use from start to stop.
type meter struct {
	pids  []int
	began time.Time
	cpu   time.Duration
}

func startMeter(pids []int) (meter, error) {
	cpu, err := cpuTime(pids)
	return meter{pids, time.Now(), cpu}, err
}

// stop enters it all into a Result. Connections must still be open: their
// memory counts.
func (m meter) stop(r *Result) error {
	r.Seconds = time.Since(m.began).Seconds()
	cpu, err := cpuTime(m.pids)
	if err != nil {
		return err
	}
	r.CPU = cpu - m.cpu
	r.Resident, r.RSS, err = memory(m.pids)
	return err
}

// cpuTime returns the processor time that the processes have used, to the
// nanosecond: their CPU clocks. /proc/PID/stat counts in steps of 10 ms.
func cpuTime(pids []int) (sum time.Duration, err error) {
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

// memory returns the bytes in memory of a server's processes, and the plain
// sum of their RSS. In resident, the pages of files, which is the program's
// code, count once, however many processes of the server share them. Pss would
// not do: it halves the code of a server whose program is running elsewhere,
// too, as our own load generator is.
func memory(pids []int) (resident, rss int64, err error) {
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

// share returns which part of the connections the process with most of them
// holds, 0 if there is but one process.
func share(pids []int, conns int) float64 {
	most := 0
	if len(pids) == 1 {
		return 0
	}
	for _, pid := range pids {
		entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)) // of one that has ended, none
		sockets := -1                                             // one is the listener
		for _, entry := range entries {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, entry.Name()))
			if strings.HasPrefix(to, "socket:") {
				sockets++
			}
		}
		most = max(most, sockets)
	}
	return float64(most) / float64(conns)
}
