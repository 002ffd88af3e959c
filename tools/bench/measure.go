// What one measurement is asked for and what it gives: calls, latencies, and
// what the server's processes used meanwhile.

//go:build linux

package bench

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"example.com/rpcworkbook/tools/usage"
)

// A Job is one measurement, as it is handed to a driver.
type Job struct {
	Driver string // which of the standard library's clients, for the driver that has two

	Addr  string   // of the server, "127.0.0.1:port"
	Addrs []string // of all servers, where there may be several
	PIDs  []int    // of their processes

	Conns int    // connections, to one server after the other
	First int    // the number of the first of them, if others are another loader's
	Depth int    // calls outstanding on each connection
	Reply string // the body of each reply, for drivers that speak frames

	Warm   time.Duration
	Window time.Duration // what is counted, after the warm-up
}

// addr returns the server to which the i-th connection goes.
func (j Job) addr(i int) string {
	if len(j.Addrs) == 0 {
		return j.Addr
	}
	return j.Addrs[(j.First+i)%len(j.Addrs)]
}

// meter measures what processes use from start to stop.
type meter struct {
	pids  []int // the server's; this process is the driver
	began time.Time
	spent spent
}

// spent is processor time.
type spent struct {
	server, driver, idle time.Duration
}

// look reads what has been spent until now.
func look(pids []int) (s spent, err error) {
	var err1, err2, err3 error
	s.server, err1 = usage.CPUTime(pids)
	s.driver, err2 = usage.CPUTime([]int{os.Getpid()})
	s.idle, err3 = usage.Idle()
	return s, errors.Join(err1, err2, err3)
}

func startMeter(pids []int) (meter, error) {
	now, err := look(pids)
	return meter{pids, time.Now(), now}, err
}

// stop enters it all into a Result. Connections must still be open: their
// memory counts.
func (m meter) stop(r *Result) error {
	r.Seconds = time.Since(m.began).Seconds()
	now, err := look(m.pids)
	if err != nil {
		return err
	}
	r.CPU = now.server - m.spent.server
	r.DriverCPU = now.driver - m.spent.driver

	all := r.Seconds * float64(runtime.NumCPU())
	accounted := r.CPU + r.DriverCPU + now.idle - m.spent.idle
	r.Others = max(0, 1-accounted.Seconds()/all)

	r.Resident, r.RSS, err = usage.Memory(m.pids)
	return err
}

// share returns which part of the connections the process with most of them
// holds, 0 if there is but one process.
func share(pids []int, conns int) float64 {
	if len(pids) == 1 {
		return 0
	}

	fullest := 0
	for _, pid := range pids {
		fullest = max(fullest, sockets(pid)-1) // one is the listener
	}
	return float64(fullest) / float64(conns)
}

// sockets returns how many a process has open, 0 if it has ended. One that it
// has twice, by two descriptors, counts once.
func sockets(pid int) int {
	found := map[string]bool{}
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)) // of one that has ended, none
	for _, entry := range entries {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, entry.Name()))
		if strings.HasPrefix(to, "socket:") {
			found[to] = true
		}
	}
	return len(found)
}
