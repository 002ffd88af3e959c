// Copies: nothing is run where it was handed in. A program may do to its copy
// what it likes.

package grade

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// What a submission may have at most.
const (
	maxBytes = 128 << 20
	maxFiles = 20_000
)

// A copier copies a directory, once.
type copier struct {
	from, to string
	bytes    int64
	files    int
}

// copyTree copies the files and directories in from to the directory to, which
// it makes. Repositories of git are left out, and so are links that lead out of
// from, and whatever else is neither a file nor a directory. It fails if there
// is too much of it.
func copyTree(from, to string) error {
	c := &copier{from: from, to: to}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return c.copy(path, entry)
	})
}

func (c *copier) copy(path string, entry fs.DirEntry) error {
	name, err := filepath.Rel(c.from, path)
	if err != nil {
		return err
	}
	to := filepath.Join(c.to, name)
	c.files++
	if c.files > maxFiles {
		return fmt.Errorf("there are more than %d files", maxFiles)
	}

	switch {
	case entry.IsDir() && entry.Name() == ".git":
		return fs.SkipDir
	case entry.IsDir():
		return os.MkdirAll(to, 0o755)
	case entry.Type() == fs.ModeSymlink:
		return copyLink(path, to, name)
	case entry.Type().IsRegular():
		return c.copyFile(path, to)
	}
	return nil
}

func copyLink(from, to, name string) error {
	target, err := os.Readlink(from)
	if err != nil || filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), target)) {
		return err
	}
	return os.Symlink(target, to)
}

func (c *copier) copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()

	mode := os.FileMode(0o644)
	info, err := source.Stat()
	if err == nil && info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	copied, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer copied.Close()

	n, err := io.Copy(copied, io.LimitReader(source, maxBytes+1))
	c.bytes += n
	if c.bytes > maxBytes {
		return fmt.Errorf("it has more than %d MiB", maxBytes>>20)
	}
	return err
}
