// Package book keeps the workbook's texts true: what they quote is what the
// files say, links lead somewhere, and commands run. It fills the code blocks
// below the markers of every markdown file, and its tests check the rest.
package book

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Load reads the markdown files below root, which is the module's directory,
// in the order of their paths. What git doesn't have is left out: hidden
// directories, bin, _mine and whatever else begins with an underscore.
func Load(root string) ([]*Doc, error) {
	var docs []*Doc
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() && rel != "." && foreign(rel) {
			return fs.SkipDir
		}

		if entry.IsDir() || !strings.HasSuffix(rel, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)

		if err != nil {
			return err
		}
		docs = append(docs, Parse(rel, string(text)))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the markdown files: %w", err)
	}
	return docs, nil
}

// foreign reports whether a path, relative to the root, is no part of the
// repository.
func foreign(rel string) bool {
	for name := range strings.SplitSeq(rel, "/") {
		hidden := strings.HasPrefix(name, ".") && name != ".." && name != "."
		if name == "bin" || hidden || strings.HasPrefix(name, "_") {
			return true
		}
	}
	return false
}
