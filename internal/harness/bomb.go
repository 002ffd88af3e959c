// The fork bomb guard. A worker that doesn't see its marker takes itself for a
// master and starts workers of its own, each of which does the same: a typical
// mistake, and one that would take the machine down. So a program's process
// group is counted, and killed when it grows too large.

package harness

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// maxGroup is the largest process group that a program may have.
const maxGroup = 64

var bombs struct {
	sync.Mutex
	watched map[int]*watchedGroup // by process group
	running bool                  // the goroutine that counts
}

type watchedGroup struct {
	since time.Time
	found string
}

// watchForBombs counts the process group from now on. The function it returns
// tells what was found: "" for nothing.
func watchForBombs(group int) func() string {
	bombs.Lock()
	defer bombs.Unlock()
	if bombs.watched == nil {
		bombs.watched = map[int]*watchedGroup{}
	}
	w := &watchedGroup{since: time.Now()}
	bombs.watched[group] = w
	if !bombs.running {
		bombs.running = true
		go countGroups()
	}
	return func() string {
		bombs.Lock()
		defer bombs.Unlock()
		return w.found
	}
}

func forgetBombs(group int) {
	bombs.Lock()
	defer bombs.Unlock()
	delete(bombs.watched, group)
}

// countGroups runs as long as there are groups to watch. It looks often at
// young ones, because a bomb goes off at once.
func countGroups() {
	for {
		pause := 250 * time.Millisecond
		bombs.Lock()
		if len(bombs.watched) == 0 {
			bombs.running = false
			bombs.Unlock()
			return
		}
		for _, w := range bombs.watched {
			if time.Since(w.since) < 3*time.Second {
				pause = 25 * time.Millisecond
			}
		}
		bombs.Unlock()
		time.Sleep(pause)
		if all, err := processes(); err == nil {
			killBombs(all)
		}
	}
}

func killBombs(all []process) {
	size := map[int]int{}
	for _, p := range all {
		if p.alive() {
			size[p.group]++
		}
	}
	bombs.Lock()
	defer bombs.Unlock()
	for group, w := range bombs.watched {
		if size[group] > maxGroup {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
		if size[group] > maxGroup && w.found == "" {
			w.found = fmt.Sprintf("fork bomb: %d processes, more than the %d allowed, so all were killed.\n"+
				"A worker that doesn't notice that it is one starts workers of its own: "+
				"check %s in the environment first of all in main.", size[group], maxGroup, workerMarker)
		}
	}
}
