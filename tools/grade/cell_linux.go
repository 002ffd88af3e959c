// Cells: the file system that a submission sees, which has what programs of any
// language need, and nothing that could be written but its own copy and /tmp.
// All this runs in the first process of new namespaces.

package grade

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// What a cell has besides the system's own directories.
const (
	cellTest       = "/specification/specification.test"
	cellSubmission = "/submission"
)

// system are the directories that a cell shares with the machine, those of them
// that are there.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix"}

// devices are those that programs use.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// A cell says how one is furnished. All paths are the machine's.
type cell struct {
	Root       string // an empty directory, which becomes the cell's /
	Submission string // what is copied into it
	Test       string // the specification
	User       int    // to whom the copy belongs
	Alone      bool   // the program runs as the same user as the specification
	Hidden     []string
}

// inCell furnishes the cell, locks this process up in it, and runs the
// specification there. It returns only if that fails.
func (o *order) inCell() error {
	runtime.LockOSThread() // what follows counts for one thread, and its children
	c := o.Cell
	err := c.furnish(o.Bounds.Disk)
	if err != nil {
		return err
	}
	err = c.lock()
	if err != nil {
		return fmt.Errorf("lock the cell: %w", err)
	}
	err = loopback()
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}

	err = o.Bounds.set()
	if err != nil {
		return err
	}
	limit := uint64(o.Bounds.Processes)
	err = unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: limit, Max: limit})
	if err != nil {
		return fmt.Errorf("limit of processes: %w", err)
	}
	err = c.renounce()
	if err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	// Where memory is short, ours is the last that is taken.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0o644)
	return o.first()
}

// furnish mounts all that the cell has below its root.
func (c *cell) furnish(disk int64) error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err != nil {
		return fmt.Errorf("make mounts our own: %w", err)
	}
	err = c.tmpfs("/", 1<<20, "755")
	if err != nil {
		return err
	}

	for _, dir := range append(system, os.Getenv("JAVA_HOME"), os.Getenv("ZOOKEEPER_HOME")) {
		err := c.share(dir)
		if err != nil {
			return fmt.Errorf("share %s: %w", dir, err)
		}
	}
	for _, dir := range c.Hidden {
		err := c.hide(dir)
		if err != nil {
			return fmt.Errorf("hide %s: %w", dir, err)
		}
	}
	err = c.devices()
	if err != nil {
		return err
	}

	err = c.tmpfs("/tmp", disk, "1777")
	if err != nil {
		return err
	}
	err = c.tmpfs(cellSubmission, disk, "755")
	if err != nil {
		return err
	}
	err = c.copyIn()
	if err != nil {
		return err
	}
	err = c.bind(c.Test, cellTest)
	if err != nil {
		return err
	}
	err = os.Mkdir(c.at("/proc"), 0o755)
	if err != nil {
		return err
	}
	err = unix.Mount("proc", c.at("/proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// at returns the path by which we know a path of the cell.
func (c *cell) at(path string) string { return filepath.Join(c.Root, path) }

// tmpfs mounts a file system in memory, of so many bytes.
func (c *cell) tmpfs(path string, size int64, mode string) error {
	err := os.MkdirAll(c.at(path), 0o755)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("size=%d,nr_inodes=50000,mode=%s", size, mode)
	err = unix.Mount("tmpfs", c.at(path), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
	if err != nil {
		return fmt.Errorf("mount memory on %s: %w", path, err)
	}
	return nil
}

// share lets the cell see a directory of the machine, if there is one, or a
// link to one.
func (c *cell) share(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = os.Lstat(c.at(dir))
	if err == nil {
		return nil // below one that it has
	}

	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(dir)
		if err != nil {
			return err
		}
		err = os.MkdirAll(filepath.Dir(c.at(dir)), 0o755)
		if err != nil {
			return err
		}
		return os.Symlink(target, c.at(dir))
	}
	err = os.MkdirAll(c.at(dir), 0o755)
	if err != nil {
		return err
	}
	return bindReadOnly(dir, c.at(dir))
}

// bindReadOnly mounts what is at one path at another, where nobody can change
// it.
func bindReadOnly(from, to string) error {
	err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
	if err != nil {
		return err
	}
	return unix.MountSetattr(unix.AT_FDCWD, to, unix.AT_RECURSIVE,
		&unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV})
}

// bind mounts a file read-only.
func (c *cell) bind(from, to string) error {
	err := os.MkdirAll(filepath.Dir(c.at(to)), 0o755)
	if err != nil {
		return err
	}
	err = os.WriteFile(c.at(to), nil, 0o644)
	if err != nil {
		return err
	}

	err = bindReadOnly(from, c.at(to))
	if err != nil {
		return fmt.Errorf("share %s: %w", from, err)
	}
	return nil
}

// hide puts nothing in the place of a directory, where the cell sees it.
func (c *cell) hide(dir string) error {
	info, err := os.Stat(c.at(dir))
	if err != nil || !info.IsDir() {
		return nil
	}
	return unix.Mount("tmpfs", c.at(dir), "tmpfs", unix.MS_RDONLY, "size=0")
}

func (c *cell) devices() error {
	err := c.tmpfs("/dev", 1<<20, "755")
	if err != nil {
		return err
	}
	for _, name := range devices {
		path := filepath.Join("/dev", name)
		err := os.WriteFile(c.at(path), nil, 0o644)
		if err != nil {
			return err
		}
		err = unix.Mount(path, c.at(path), "", unix.MS_BIND, "")
		if err != nil {
			return fmt.Errorf("share %s: %w", path, err)
		}
	}

	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		err := os.Symlink(target, c.at(filepath.Join("/dev", name)))
		if err != nil {
			return err
		}
	}
	return c.tmpfs("/dev/shm", 64<<20, "1777")
}

// copyIn copies the submission, and gives the copy to its user.
func (c *cell) copyIn() error {
	to := c.at(cellSubmission)
	err := copyTree(c.Submission, to)
	if err != nil {
		return fmt.Errorf("copy the submission: %w", err)
	}
	return filepath.WalkDir(to, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, c.User, c.User)
	})
}

// lock makes the cell's root the root, and forgets the machine's.
func (c *cell) lock() error {
	err := os.Chdir(c.Root)
	if err != nil {
		return err
	}
	err = unix.PivotRoot(".", ".")
	if err != nil {
		return err
	}
	err = unix.Unmount(".", unix.MNT_DETACH)
	if err != nil {
		return err
	}

	err = os.Chdir("/")
	if err != nil {
		return err
	}
	return unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// loopback brings the network up, such as it is.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// renounce sees to it that no child gets more privileges than it has, and none
// at all where it runs as the user who is root in here.
func (c *cell) renounce() error {
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err != nil || !c.Alone {
		return err
	}
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // one that this kernel doesn't have
			return err
		}
	}
	return nil
}

// first runs the specification as the first process of a cell has to: it also
// waits for all that have lost their parent. When it ends, all end.
func (o *order) first() error {
	pid, err := syscall.ForkExec(o.Args[0], o.Args, &syscall.ProcAttr{
		Dir: o.Dir, Env: os.Environ(), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return fmt.Errorf("start the specification: %w", err)
	}

	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return err
		case ended == pid && status.Signaled():
			os.Exit(128 + int(status.Signal()))
		case ended == pid:
			os.Exit(status.ExitStatus())
		}
	}
}
