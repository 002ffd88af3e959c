// What the demo uses of this package: it is no test, but it starts programs,
// too, and must leave nothing behind.

package harness

import (
	"fmt"
	"slices"
)

// TempDir returns a directory that is removed when this process ends, in
// whatever way. Every call returns the same one.
func TempDir() (string, error) { return theWatchdog.directory() }

// Guard sees to it that a process group is killed when this process ends, in
// whatever way. It may be called on any goroutine, as may Unguard.
func Guard(group int) error { return theWatchdog.guard(group) }

// Unguard ends Guard for a process group that is gone: its number may be used
// again.
func Unguard(group int) error { return theWatchdog.forget(group) }

// End kills what is guarded, removes the TempDir and returns when that is
// done. Call it last.
func End() { theWatchdog.end() }

// Living returns the pids of the living processes of a process group, sorted.
// A zombie is not one.
func Living(group int) ([]int, error) {
	all, err := processes()
	if err != nil {
		return nil, fmt.Errorf("look for the processes of group %d: %w", group, err)
	}
	members := pids(slices.DeleteFunc(all, func(p process) bool { return p.group != group || !p.alive() }))
	slices.Sort(members)
	return members, nil
}
