// The guard against fork bombs. A worker that doesn't see its marker takes
// itself for a master and starts workers of its own, each of which does the
// same: a typical mistake, and one that would take the machine down.

package proc

import (
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	countOften = 25 * time.Millisecond // while a group is young: a bomb goes off at once
	countLater = 250 * time.Millisecond
	youth      = 3 * time.Second
)

// limits are the groups that are counted.
var limits struct {
	sync.Mutex
	of      map[int]*limit // by group
	running bool           // the goroutine that counts
}

type limit struct {
	most     int
	mark     string // of those that have left the group; "" for none
	since    time.Time
	exceeded int // the first count that was beyond; 0: none was

	observe func(began time.Time, rows []Info) // see Observe; nil for nobody
}

// Limit has the group's processes counted from now on, until the last one has
// gone, and kills all of them when there are more than most. Processes that
// bear the mark count, too, unless it is "": what has left the group. (Where
// there is no /proc they don't.) The function that Limit returns tells how many
// there were then; 0 if that has not happened.
func (g *Group) Limit(most int, mark string) (exceeded func() int) {
	l := &limit{most: most, mark: mark, since: time.Now()}
	exceeded = func() int {
		limits.Lock()
		defer limits.Unlock()
		return l.exceeded
	}

	limits.Lock()
	defer limits.Unlock()
	if g.gone.Load() {
		return exceeded // its number is nobody's to kill
	}
	if limits.of == nil {
		limits.of = map[int]*limit{}
	}
	limits.of[g.PID] = l
	if !limits.running {
		limits.running = true
		go count()
	}
	return exceeded
}

// Observe has f told what there is of the group, zombies too, whenever its
// processes are counted, and when the look at the process table began. Limit
// must have been called. F must not block.
func (g *Group) Observe(f func(began time.Time, rows []Info)) {
	limits.Lock()
	defer limits.Unlock()
	if l := limits.of[g.PID]; l != nil {
		l.observe = f
	}
}

// tellObservers hands each group's processes to its observer.
func tellObservers(began time.Time, all []Info) {
	limits.Lock()
	observers := map[int]func(time.Time, []Info){}
	for group, l := range limits.of {
		if l.observe != nil {
			observers[group] = l.observe
		}
	}
	limits.Unlock()
	if len(observers) == 0 {
		return
	}

	rows := map[int][]Info{}
	for _, p := range all {
		if observers[p.Group] != nil {
			rows[p.Group] = append(rows[p.Group], p)
		}
	}
	for group, observe := range observers { // also one of which nothing is left
		observe(began, rows[group])
	}
}

// unlimit ends the count of a group that is gone.
func unlimit(group int) {
	limits.Lock()
	defer limits.Unlock()
	delete(limits.of, group)
}

// count runs as long as there are groups with a limit.
func count() {
	var strays strays
	for {
		pause, some := countPause()
		if !some {
			return
		}
		time.Sleep(pause)

		began := time.Now()
		all, err := Table()
		if err != nil {
			continue
		}
		// First what needs no further look: a fork bomb grows while we look.
		_ = enforce(all, nil)
		tellObservers(began, all)
		for _, mark := range enforce(all, strays.count(all)) {
			_ = KillMarked(mark) // the next count finds who is left
		}
	}
}

// countPause returns how long to wait before the next count, and whether there
// is one: if not, the goroutine that asked is to end.
func countPause() (pause time.Duration, some bool) {
	limits.Lock()
	defer limits.Unlock()
	if len(limits.of) == 0 {
		limits.running = false
		return 0, false
	}

	for _, l := range limits.of {
		if time.Since(l.since) < youth {
			return countOften, true
		}
	}
	return countLater, true
}

// enforce kills the groups that have too many of these processes, and returns
// the marks of others that are to be killed. Strays are processes outside of
// groups, by their mark.
func enforce(all []Info, strays map[string]int) (marks []string) {
	size := map[int]int{}
	for _, p := range all {
		if p.Alive() {
			size[p.Group]++
		}
	}

	limits.Lock()
	defer limits.Unlock()
	for group, l := range limits.of {
		n := size[group] + strays[l.mark]
		if n <= l.most {
			continue
		}

		_ = syscall.Kill(-group, syscall.SIGKILL)
		if strays[l.mark] > 0 {
			marks = append(marks, l.mark)
		}
		if l.exceeded == 0 {
			l.exceeded = n
		}
	}
	return marks
}

// strays remembers which processes bear a mark, from one look at the process
// table to the next: so each environment is read once.
type strays map[int]string // by pid: the mark, or ""

// count returns how many of these processes bear each mark, and are in none of
// the groups with a limit.
func (s *strays) count(all []Info) map[string]int {
	now, counts := strays{}, map[string]int{}
	if !HasProc() {
		return counts
	}

	marks, groups := limited()
	for _, p := range all {
		if !p.Alive() || groups[p.Group] {
			continue
		}

		mark, known := (*s)[p.PID]
		if !known {
			environment := environ(p.PID)
			i := slices.IndexFunc(marks, func(mark string) bool { return contains(environment, mark) })
			if i >= 0 {
				mark = marks[i]
			}
		}
		now[p.PID] = mark
		if mark != "" {
			counts[mark]++
		}
	}

	*s = now
	return counts
}

// limited returns the marks that are looked for, and the groups that have a
// limit.
func limited() (marks []string, groups map[int]bool) {
	limits.Lock()
	defer limits.Unlock()
	groups = map[int]bool{}
	for group, l := range limits.of {
		groups[group] = true
		if l.mark != "" {
			marks = append(marks, l.mark)
		}
	}
	return marks, groups
}
