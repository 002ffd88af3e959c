// Limits that a process sets itself, and that all its children inherit.

package grade

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// become bounds this process and turns it into another program.
func (o *order) become() error {
	err := o.Bounds.set()
	if err != nil {
		return err
	}
	err = os.Chdir(o.Dir)
	if err != nil {
		return err
	}
	return syscall.Exec(o.Args[0], o.Args, os.Environ())
}

// set sets the limits that a process has for itself. Those on processes count
// all of a user's, but not those of root.
func (b bounds) set() error {
	limits := []struct {
		name     string
		resource int
		most     uint64
	}{
		{"core", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, uint64(b.Files)},
		{"file size", unix.RLIMIT_FSIZE, uint64(b.Disk)},
		{"data", unix.RLIMIT_DATA, uint64(b.Memory)},
	}
	for _, l := range limits {
		var limit unix.Rlimit
		err := unix.Getrlimit(l.resource, &limit)
		if err != nil {
			return fmt.Errorf("limit of %s: %w", l.name, err)
		}

		limit.Max = min(limit.Max, l.most)
		limit.Cur = min(limit.Cur, limit.Max)
		err = unix.Setrlimit(l.resource, &limit)
		if err != nil {
			return fmt.Errorf("limit of %s: %w", l.name, err)
		}
	}
	return nil
}
