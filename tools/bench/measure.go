// What one measurement is asked for and what it gives: calls, latencies, and
// what the server's processes used meanwhile.

//go:build linux

package bench

import (
	"fmt"
	"os"
	"strings"
	"time"

	"example.com/rpcworkbook/tools/usage"
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
	cpu, err := usage.CPUTime(pids)
	return meter{pids, time.Now(), cpu}, err
}

// stop enters it all into a Result. Connections must still be open: their
// memory counts.
func (m meter) stop(r *Result) error {
	r.Seconds = time.Since(m.began).Seconds()
	cpu, err := usage.CPUTime(m.pids)
	if err != nil {
		return err
	}
	r.CPU = cpu - m.cpu
	r.Resident, r.RSS, err = usage.Memory(m.pids)
	return err
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
