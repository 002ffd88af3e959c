// Cgroups, of either version: they bound what all processes of a submission
// have together, and give each submission its share of the processors.

package grade

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A hierarchy is a place where cgroups are made.
type hierarchy struct {
	dir string
	set func(b bounds) map[string]string // files of a cgroup, and what is written into them
}

// hierarchies returns where cgroups could be made: of the second version one
// place, of the first one for each controller.
func hierarchies() ([]hierarchy, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{} // by controller: the cgroup that we are in
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 {
			for _, controller := range strings.Split(fields[1], ",") {
				own[controller] = fields[2]
			}
		}
	}

	const mounted = "/sys/fs/cgroup"
	enabled, err := os.ReadFile(filepath.Join(mounted, "cgroup.subtree_control"))
	if err == nil {
		controllers := strings.Fields(string(enabled))
		if !slices.Contains(controllers, "pids") || !slices.Contains(controllers, "memory") {
			return nil, errors.New("the controllers pids and memory are not enabled in " + mounted)
		}
		return []hierarchy{{mounted, func(b bounds) map[string]string {
			return map[string]string{"pids.max": strconv.Itoa(b.Processes + asker), "memory.max": fmt.Sprint(b.Memory)}
		}}}, nil
	}

	return []hierarchy{
		{filepath.Join(mounted, "pids", own["pids"]), func(b bounds) map[string]string {
			return map[string]string{"pids.max": strconv.Itoa(b.Processes + asker)}
		}},
		{filepath.Join(mounted, "memory", own["memory"]), func(b bounds) map[string]string {
			return map[string]string{"memory.limit_in_bytes": fmt.Sprint(b.Memory)}
		}},
		{filepath.Join(mounted, "cpu", own["cpu"]), func(bounds) map[string]string { return nil }},
	}, nil
}

// tryCgroups makes some and removes them.
func (p *pen) tryCgroups() error {
	dirs, err := p.makeCgroups(0)
	return errors.Join(err, removeCgroups(dirs))
}

// makeCgroups makes the cgroups of a slot.
func (p *pen) makeCgroups(slot int) (dirs []string, err error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}

	for _, h := range all {
		dir := filepath.Join(h.dir, fmt.Sprintf("rpc-grade-%d-%d", os.Getpid(), slot))
		err := os.Mkdir(dir, 0o755)
		if err != nil && !errors.Is(err, fs.ErrExist) { // left by a run that was killed
			return dirs, errors.Join(err, removeCgroups(dirs))
		}
		dirs = append(dirs, dir)

		for name, value := range h.set(p.bounds) {
			err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o644)
			if err != nil {
				return dirs, errors.Join(err, removeCgroups(dirs))
			}
		}
	}
	return dirs, nil
}

// joinCgroups puts this process into some.
func joinCgroups(dirs []string) error {
	for _, dir := range dirs {
		err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o644)
		if err != nil {
			return fmt.Errorf("join a cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroups removes cgroups whose processes have ended. The kernel may need
// a moment to notice that.
func removeCgroups(dirs []string) error {
	var errs error
	for _, dir := range dirs {
		err := unix.Rmdir(dir)
		for late := time.Now().Add(5 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(late); {
			time.Sleep(5 * time.Millisecond)
			err = unix.Rmdir(dir)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			errs = errors.Join(errs, fmt.Errorf("remove cgroup %s: %w", dir, err))
		}
	}
	return errs
}
