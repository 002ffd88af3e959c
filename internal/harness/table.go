// The process table: who is whose child, and in which state. From /proc where
// there is one, from ps elsewhere.

package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a row of the process table.
type process struct {
	pid, parent, group int
	state              byte          // as ps shows it: R running, S sleeping, T stopped, Z zombie
	threads            int           // that are left; 0 if that is not known
	cpu                time.Duration // user and system time so far, to about 10 ms
	rss                int64         // bytes of memory in use
	name               string
}

// alive tells whether the process still exists as more than an exit status
// that its parent has not fetched. One that was killed is a zombie as soon as
// its first thread has ended; until the last one has, all that it had open
// stays open: the port that it listened on is taken.
func (p process) alive() bool { return p.state != 'Z' && p.state != 'X' || p.threads > 1 }

func (p process) stopped() bool { return p.state == 'T' || p.state == 't' }

// hasProc tells whether /proc is as on Linux.
var hasProc = func() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}()

// processes returns the process table.
func processes() ([]process, error) {
	if hasProc {
		return fromProc()
	}
	return askPS()
}

func fromProc() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	var all []process
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
func parseStat(stat []byte) (process, error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return process{}, fmt.Errorf("not a line of /proc/PID/stat: %q", stat)
	}
	fields := strings.Fields(string(stat[end+1:])) // begins with the third field of the manual page
	if len(fields) < 22 {
		return process{}, fmt.Errorf("not a line of /proc/PID/stat: %q", stat)
	}
	p := process{name: string(stat[open+1 : end]), state: fields[0][0]}
	p.pid, _ = strconv.Atoi(strings.TrimSpace(string(stat[:open])))
	p.parent, _ = strconv.Atoi(fields[1])
	p.group, _ = strconv.Atoi(fields[2])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	p.cpu = time.Duration(user+system) * 10 * time.Millisecond // 100 ticks a second on every Linux that Go runs on
	p.threads, _ = strconv.Atoi(fields[17])
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	p.rss = pages * int64(os.Getpagesize())
	return p, nil
}

func askPS() ([]process, error) {
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,pgid=,state=,rss=,time=,comm=").Output()
	if err != nil {
		return nil, fmt.Errorf("run ps: %w", err)
	}
	return fromPS(string(output))
}

// fromPS reads what ps prints.
func fromPS(output string) ([]process, error) {
	var all []process
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 7 {
			return nil, fmt.Errorf("ps printed %q, not pid, ppid, pgid, state, rss, time and command", line)
		}
		p := process{state: fields[3][0], cpu: parseCPU(fields[5]), name: strings.Join(fields[6:], " ")}
		p.pid, _ = strconv.Atoi(fields[0])
		p.parent, _ = strconv.Atoi(fields[1])
		p.group, _ = strconv.Atoi(fields[2])
		kilobytes, _ := strconv.ParseInt(fields[4], 10, 64)
		p.rss = kilobytes << 10
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
