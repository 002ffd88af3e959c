// Sightings: when processes of a program were first and last seen, for the
// trace. Whoever looks at the process table tells what there was.

package harness

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/runpicture"
)

// A sighting is what is known of a program's processes.
type sighting struct {
	mu     sync.Mutex
	latest time.Time               // when the latest look that counts began
	is     map[int]runpicture.Kind // by pid: Born, Zombie or Gone
}

// observe has what becomes of the program's processes noted from now on.
func (p *Program) observe() {
	p.sighted(time.Now(), []proc.Info{{PID: p.PID}})
	p.group.Observe(p.sighted)
}

// sighted notes what has changed, as a look at the process table shows that
// began at that time. Looks of several goroutines overlap: one that began
// before another that is known doesn't count.
func (p *Program) sighted(began time.Time, rows []proc.Info) {
	if !recording() {
		return
	}
	p.seen.mu.Lock()
	defer p.seen.mu.Unlock()
	if began.Before(p.seen.latest) {
		return
	}
	p.seen.latest = began

	now := map[int]runpicture.Kind{}
	for _, q := range rows {
		now[q.PID] = runpicture.Born
		if !q.Alive() {
			now[q.PID] = runpicture.Zombie
		}
	}
	for pid := range p.seen.is {
		if _, there := now[pid]; !there {
			now[pid] = runpicture.Gone
		}
	}
	p.became(now)
}

// became notes which processes are in another state than before. What is gone
// doesn't come back. The caller must hold seen.mu.
func (p *Program) became(now map[int]runpicture.Kind) {
	changed := map[runpicture.Kind][]int{}
	for pid, kind := range now {
		before, known := p.seen.is[pid]
		if known && (before == kind || before == runpicture.Gone) || !known && kind == runpicture.Gone {
			continue
		}
		if p.seen.is == nil {
			p.seen.is = map[int]runpicture.Kind{}
		}
		p.seen.is[pid] = kind
		changed[kind] = append(changed[kind], pid)
	}

	for _, kind := range []runpicture.Kind{runpicture.Gone, runpicture.Zombie, runpicture.Born} {
		pids := changed[kind]
		if len(pids) > 0 {
			slices.Sort(pids)
			Note(p.t, func() runpicture.Event {
				return runpicture.Event{Kind: kind, To: p.lanes(pids), Text: sentence(kind, pids)}
			})
		}
	}
}

// sentence says what became of processes.
func sentence(kind runpicture.Kind, pids []int) string {
	text := map[runpicture.Kind]string{
		runpicture.Born:   " began",
		runpicture.Zombie: " ended, and not yet reaped: a zombie",
		runpicture.Gone:   " gone",
	}[kind]
	return pidsPhrase(pids) + text
}

// ended notes the end of the process that was started, which is reaped with
// that.
func (p *Program) ended() {
	p.seen.mu.Lock()
	defer p.seen.mu.Unlock()
	if p.seen.is == nil {
		p.seen.is = map[int]runpicture.Kind{}
	}
	p.seen.is[p.PID] = runpicture.Gone
	Note(p.t, func() runpicture.Event {
		return runpicture.Event{Kind: runpicture.Gone, To: p.lanes([]int{p.PID}), Text: p.end()}
	})
}

// living returns the processes that were alive when somebody looked last.
func (p *Program) living() (pids []int) {
	p.seen.mu.Lock()
	defer p.seen.mu.Unlock()
	for pid, kind := range p.seen.is {
		if kind == runpicture.Born {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// end says how the process that was started has ended.
func (p *Program) end() string {
	return fmt.Sprintf("pid %d ended with exit code %d", p.PID, p.exitCode())
}

// lanes returns the lanes of processes of the program.
func (p *Program) lanes(pids []int) (lanes []runpicture.Lane) {
	for _, pid := range pids {
		lanes = append(lanes, runpicture.Lane{Place: runpicture.AtProcess, Number: pid, Group: p.PID})
	}
	return lanes
}

// lane returns that of the process that was started.
func (p *Program) lane() runpicture.Lane { return p.lanes([]int{p.PID})[0] }
