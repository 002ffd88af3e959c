// The whole workbook: which files are looked at.

package look

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Tree returns what is to be mended in the Go files below root, each with its
// place. With paths, relative to root, it looks at those files and directories
// only. Of a file that chapters carry on unchanged it looks at the first copy.
func Tree(root string, paths ...string) (problems []string, err error) {
	files, err := originals(root)
	if err != nil {
		return nil, err
	}

	for _, file := range files {
		if len(paths) > 0 && !slices.ContainsFunc(paths, file.below) {
			continue
		}

		found, err := File(file.path, file.source)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			problems = append(problems, fmt.Sprintf("%s:%d: %s", file.path, f.Line, f.Text))
		}
	}
	return problems, nil
}

// A goFile is one to look at.
type goFile struct {
	path   string // relative to the root, with slashes
	source []byte
}

// below reports whether path is the file or a directory that it is in.
func (f goFile) below(path string) bool {
	path = filepath.ToSlash(filepath.Clean(path))
	return path == "." || f.path == path || strings.HasPrefix(f.path, path+"/")
}

var packageClause = regexp.MustCompile(`(?m)^package \w+$`)

// originals returns the Go files below root in the order of the chapters,
// without those that are a copy of an earlier one but for the name of the
// package. Directories that go leaves out (_mine, .git) are left out.
func originals(root string) (files []goFile, err error) {
	var final []goFile // comes after the chapters
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.ContainsAny(entry.Name()[:1], "._"):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}

		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		file := goFile{filepath.ToSlash(rel), source}
		if file.below("final") {
			final = append(final, file)
		} else {
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for Go files: %w", err)
	}

	seen := map[string]bool{}
	return slices.DeleteFunc(append(files, final...), func(f goFile) bool {
		text := filepath.Base(f.path) + packageClause.ReplaceAllString(string(f.source), "package p")
		again := seen[text]
		seen[text] = true
		return again
	}), nil
}
