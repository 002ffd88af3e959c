// The guard against fork bombs. A worker that doesn't see its marker takes
// itself for a master and starts workers of its own, each of which does the
// same: a typical mistake, and one that would take the machine down.

package proc

import (
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
	since    time.Time
	exceeded int // the first count that was beyond; 0: none was
}

// Limit has the group's processes counted from now on, until the last one has
// gone, and kills all of them when there are more than most. The function that
// it returns tells how many there were then; 0 if that has not happened.
func (g *Group) Limit(most int) (exceeded func() int) {
	l := &limit{most: most, since: time.Now()}
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

// unlimit ends the count of a group that is gone.
func unlimit(group int) {
	limits.Lock()
	defer limits.Unlock()
	delete(limits.of, group)
}

// count runs as long as there are groups with a limit.
func count() {
	for {
		pause, some := countPause()
		if !some {
			return
		}
		time.Sleep(pause)
		if all, err := Table(); err == nil {
			enforce(all)
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

// enforce kills the groups that have too many of these processes.
func enforce(all []Info) {
	size := map[int]int{}
	for _, p := range all {
		if p.Alive() {
			size[p.Group]++
		}
	}

	limits.Lock()
	defer limits.Unlock()
	for group, l := range limits.of {
		if size[group] <= l.most {
			continue
		}
		_ = syscall.Kill(-group, syscall.SIGKILL)
		if l.exceeded == 0 {
			l.exceeded = size[group]
		}
	}
}
