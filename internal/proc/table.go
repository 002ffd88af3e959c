// The process table: who is whose child, and in which state. From /proc where
// there is one, from ps elsewhere.

package proc

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Info is a row of the process table.
type Info struct {
	PID, Parent, Group int

	State   byte          // as ps shows it: R running, S sleeping, T stopped, Z zombie
	Threads int           // that are left; 0 if that is not known
	CPU     time.Duration // user and system time so far, to about 10 ms
	RSS     int64         // bytes of memory in use
	Name    string        // of its program, without the path on Linux; long ones may be cut off
}

// Alive tells whether the process still exists as more than an exit status
// that its parent has not fetched. One that was killed is a zombie as soon as
// its first thread has ended; until the last one has, all that it had open
// stays open: the port that it listened on is taken.
func (p Info) Alive() bool { return p.State != 'Z' && p.State != 'X' || p.Threads > 1 }

// Stopped tells whether a signal or a debugger holds the process up.
func (p Info) Stopped() bool { return p.State == 'T' || p.State == 't' }

// HasProc tells whether /proc is as on Linux.
var HasProc = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
})

// Table returns the process table, zombies too.
func Table() ([]Info, error) {
	if HasProc() {
		return fromProc()
	}
	return askPS()
}

func fromProc() ([]Info, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	defer dir.Close()

	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}

	var all []Info
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it ended since the directory was read
		}
		p, err := parseStat(stat)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// parseStat reads /proc/PID/stat, see proc_pid_stat(5). The name stands in
// parentheses and may contain anything, also parentheses.
func parseStat(stat []byte) (Info, error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return Info{}, fmt.Errorf("not a line of /proc/PID/stat: %q", stat)
	}
	fields := strings.Fields(string(stat[end+1:])) // begins with the third field of the manual page
	if len(fields) < 22 {
		return Info{}, fmt.Errorf("not a line of /proc/PID/stat: %q", stat)
	}

	p := Info{Name: string(stat[open+1 : end]), State: fields[0][0]}
	p.PID, _ = strconv.Atoi(strings.TrimSpace(string(stat[:open])))
	p.Parent, _ = strconv.Atoi(fields[1])
	p.Group, _ = strconv.Atoi(fields[2])

	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	p.CPU = time.Duration(user+system) * 10 * time.Millisecond // 100 ticks a second on every Linux that Go runs on

	p.Threads, _ = strconv.Atoi(fields[17])
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	p.RSS = pages * int64(os.Getpagesize())
	return p, nil
}

func askPS() ([]Info, error) {
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,pgid=,state=,rss=,time=,comm=").Output()
	if err != nil {
		return nil, fmt.Errorf("run ps: %w", err)
	}
	return fromPS(string(output))
}

// fromPS reads what ps prints.
func fromPS(output string) ([]Info, error) {
	var all []Info
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 7 {
			return nil, fmt.Errorf("ps printed %q, not pid, ppid, pgid, state, rss, time and command", line)
		}

		p := Info{State: fields[3][0], CPU: parseCPU(fields[5]), Name: strings.Join(fields[6:], " ")}
		p.PID, _ = strconv.Atoi(fields[0])
		p.Parent, _ = strconv.Atoi(fields[1])
		p.Group, _ = strconv.Atoi(fields[2])
		kilobytes, _ := strconv.ParseInt(fields[4], 10, 64)
		p.RSS = kilobytes << 10
		all = append(all, p)
	}
	return all, nil
}

// parseCPU reads the time column of ps: [[days-]hours:]minutes:seconds, with
// hundredths on macOS.
func parseCPU(column string) time.Duration {
	days, clock, found := strings.Cut(column, "-")
	if !found {
		days, clock = "0", column
	}

	whole, _ := strconv.Atoi(days)
	total := float64(24 * whole) // in the unit of the part to come: with days there are hours
	for i, part := range strings.Split(clock, ":") {
		if i > 0 {
			total *= 60
		}
		value, _ := strconv.ParseFloat(part, 64)
		total += value
	}
	return time.Duration(total * float64(time.Second))
}
