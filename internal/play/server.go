// A server on the page: its processes, watched, and what they do written into
// the log.

package play

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/stage"
	"example.com/rpcworkbook/internal/zkgate"
)

// zombieAfter is how long a process may be a zombie until the log says so.
const zombieAfter = 500 * time.Millisecond

// bomb is how many processes a server may have: a fork bomb is killed.
const bomb = 64

// A server is one server in all its lives.
type server struct {
	*stage.Program
	name    string // "A"
	addr    string // host:port
	port    int
	release func() // gives the port up
	link    *link  // to ZooKeeper; nil without one
	play    *Play

	mu      sync.Mutex
	command string // of the latest life
	groups  []int  // of all lives

	// What the observer remembers; only it uses these.
	before   map[int]member
	lost     []loss // workers that have gone and are not replaced yet
	lastCPU  map[int]time.Duration
	cpuSince time.Time
}

// A member is a process of a server.
type member struct {
	proc.Info
	role  string
	since time.Time // in this state
	told  bool      // that it is a zombie
}

// A loss is a worker that has gone.
type loss struct {
	pid int
	at  time.Time // when it was told to, or else when we saw it
}

// newServer finds a port for a server.
func (p *Play) newServer(name string) (*server, error) {
	port, release, err := freeport.Reserve()
	if err != nil {
		return nil, err
	}

	v := &server{name: name, port: port, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		release: release, play: p, before: map[int]member{}}
	if p.zk != nil {
		gate, err := zkgate.New(p.zk.Addr())
		if err != nil {
			release()
			return nil, err
		}
		v.link = &link{gate: gate}
	}

	v.Program = p.stage.Add("server "+name, func() *exec.Cmd {
		cmd := p.recipe.server("127.0.0.1", strconv.Itoa(port), v.link.addr())
		v.mu.Lock()
		defer v.mu.Unlock()
		v.command = spoken(cmd)
		return cmd
	})
	return v, nil
}

// spoken is a command as somebody would type it.
func spoken(cmd *exec.Cmd) string {
	if len(cmd.Args) == 3 && cmd.Args[1] == "-c" {
		return strings.TrimPrefix(cmd.Args[2], "exec ")
	}
	args := slices.Clone(cmd.Args)
	args[0] = args[0][strings.LastIndexByte(args[0], '/')+1:]
	return strings.Join(args, " ")
}

// start starts it, which nobody else may be doing.
func (v *server) start() error {
	if v.Running() {
		return fmt.Errorf("server %s runs already", v.name)
	}
	if err := v.Start(); err != nil {
		return err
	}
	v.Group().Limit(bomb, "")
	v.mu.Lock()
	defer v.mu.Unlock()
	v.groups = append(v.groups, v.PID())
	return nil
}

// members picks the server's processes from the process table: those of its
// groups, and its master's children.
func (v *server) members(table []proc.Info) map[int]member {
	v.mu.Lock()
	groups := slices.Clone(v.groups)
	v.mu.Unlock()

	all := map[int]member{}
	for _, p := range table {
		if slices.Contains(groups, p.Group) || p.Parent != 0 && slices.Contains(groups, p.Parent) {
			all[p.PID] = member{Info: p, role: "worker"}
		}
	}
	for pid, m := range all {
		switch _, has := all[m.Parent]; {
		case slices.Contains(groups, pid):
			m.role = "master"
		case !has:
			m.role = "orphan"
		}
		all[pid] = m
	}
	return all
}

// observe compares the processes with those of the last time, and tells the
// log what has happened.
func (v *server) observe(table []proc.Info) {
	now, after := time.Now(), v.members(table)
	say := func(format string, args ...any) { v.play.journal.sayAt(now, kindProcess, format, args...) }

	for _, pid := range slices.Sorted(maps.Keys(v.before)) {
		if _, still := after[pid]; !still {
			v.gone(v.before[pid], now)
		}
	}

	for _, pid := range slices.Sorted(maps.Keys(after)) {
		m, old := after[pid], v.before[pid]
		m.since, m.told = now, old.told
		if old.State == m.State {
			m.since = old.since
		}

		switch {
		case old.PID == 0:
			v.came(m, now)
		case m.Stopped() && !old.Stopped():
			say("%d stopped (%s of %s): it does nothing until SIGCONT", pid, m.role, v.name)
		case !m.Stopped() && old.Stopped() && m.Alive():
			say("%d goes on", pid)
		case m.role == "orphan" && old.role == "worker" && m.Alive():
			say("%d is an orphan now: its master has gone", pid)
		}
		if m.State == 'Z' && !m.told && now.Sub(m.since) > zombieAfter {
			m.told = true
			say("%d is a zombie: it has ended, and nobody has fetched its exit status", pid)
		}
		after[pid] = m
	}
	v.before = after
}

// came tells of a new process.
func (v *server) came(m member, now time.Time) {
	if m.role == "master" {
		v.lost = nil // it replaces nobody of the one before
	}
	if m.role == "worker" && len(v.lost) > 0 {
		lost := v.lost[0]
		v.lost = v.lost[1:]
		v.play.journal.sayAt(now, kindProcess, "%d reaped, replaced by %d after %s",
			lost.pid, m.PID, short(now.Sub(lost.at)))
		return
	}
	v.play.journal.sayAt(now, kindProcess, "%d started (%s of %s)", m.PID, m.role, v.name)
}

// gone tells of a process that there is no more.
func (v *server) gone(m member, now time.Time) {
	sent, was := v.play.sent(m.PID)
	why := "ended"
	switch {
	case was && sent.name == "SIGKILL":
		why = "killed (SIGKILL)"
	case was:
		why = "ended after " + sent.name
	}

	if m.role != "master" {
		v.play.journal.sayAt(now, kindProcess, "%d %s (%s of %s)", m.PID, why, m.role, v.name)
		at := now
		if was {
			at = sent.at
		}
		if m.role == "worker" && m.Parent == v.PID() && v.Running() { // not one of an earlier master
			v.lost = append(v.lost, loss{m.PID, at})
		}
		return
	}

	v.lost = nil
	v.play.journal.sayAt(now, kindProcess, "%d %s (master of %s)%s", m.PID, why, v.name, v.lastWords())
}

// lastWords are how the master ended, and what it said then if all was not
// well.
func (v *server) lastWords() string {
	how := v.how()
	if how == "" || how == "exit status 0" || strings.HasPrefix(how, "signal") {
		return ""
	}
	text, err := os.ReadFile(v.Log())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err != nil || lines[len(lines)-1] == "" {
		return ": " + how
	}
	return fmt.Sprintf(": %s, and it said: %s", how, lines[len(lines)-1])
}

// how tells how the master ended; "" while it lives.
func (v *server) how() string {
	group := v.Group()
	if group == nil || !group.Ended() {
		return ""
	}
	return fmt.Sprint(group.State())
}

// picture is what the page shows of the processes that were seen last.
func (v *server) picture(all map[string]socket) Server {
	v.mu.Lock()
	s := Server{Name: v.name, Addr: v.addr, Command: v.command, Running: v.Running(), How: v.how(),
		Processes: []Process{}}
	v.mu.Unlock()
	if v.link != nil {
		s.Link = v.link.fault()
	}

	now := time.Now()
	used := map[int]time.Duration{}
	for _, pid := range slices.Sorted(maps.Keys(v.before)) {
		m := v.before[pid]
		row := Process{PID: pid, Role: m.role, State: state(m.Info)}
		for _, open := range socketsOf(pid, all) {
			switch {
			case open.local == v.port && open.listens:
				row.Listener = true
				s.Listening = true
			case open.local == v.port:
				row.Connections++
			}
		}

		used[pid] = m.CPU
		if before, ok := v.lastCPU[pid]; ok && now.After(v.cpuSince) {
			row.CPU = float64(int(100 * (m.CPU - before).Seconds() / now.Sub(v.cpuSince).Seconds()))
		}
		s.Processes = append(s.Processes, row)
	}
	v.lastCPU, v.cpuSince = used, now
	slices.SortStableFunc(s.Processes, func(a, b Process) int { return rank(a) - rank(b) })
	return s
}

// rank has masters stand above the others.
func rank(p Process) int {
	if p.Role == "master" {
		return 0
	}
	return 1
}

// state is a process's state in a word.
func state(p proc.Info) string {
	switch {
	case !p.Alive():
		return "zombie"
	case p.Stopped():
		return "stopped"
	case p.State == 'R':
		return "runs"
	}
	return "waits"
}

// workers returns the pids of the living workers.
func (v *server) workers() (pids []int, err error) {
	pids, err = v.Workers()
	if errors.Is(err, os.ErrProcessDone) {
		return nil, nil
	}
	return pids, err
}

// short writes a duration in few digits: 7 ms, 152 ms, 5.43 s.
func short(d time.Duration) string {
	if ms := d.Round(time.Millisecond).Milliseconds(); ms < 1000 {
		return fmt.Sprintf("%d ms", ms)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
