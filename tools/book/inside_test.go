// Tests of the map of the inside: who comes from outside finds every directory
// in it, and a word at the door of each.

package book

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
)

func TestInsideHasAMap(t *testing.T) {
	root, err := carry.FindRoot()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "internal", "README.md"))
	require.NoError(t, err)
	entries, err := os.ReadDir(filepath.Join(root, "internal"))
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.IsDir() {
			assert.Contains(t, string(text), "\n| [`"+entry.Name()+"`]("+entry.Name()+") | ",
				"internal/README.md has no row for %s", entry.Name())
		}
	}
}

// TestEveryPackageSaysWhatItIs wants one package comment of each: two would be
// glued together in go doc.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	root, err := carry.FindRoot()
	require.NoError(t, err)
	comments := map[string][]string{} // the files that have one, by directory
	for _, top := range []string{"internal", "tools"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.Name() == "testdata" {
				return filepath.SkipDir
			}
			if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				return err
			}

			dir := filepath.Dir(path)
			if comments[dir] == nil {
				comments[dir] = []string{}
			}
			if file.Doc.Text() != "" {
				comments[dir] = append(comments[dir], entry.Name())
			}
			return nil
		})
		require.NoError(t, err)
	}

	require.NotEmpty(t, comments)
	for dir, files := range comments {
		assert.Len(t, files, 1, "the files of %s with a package comment", dir)
	}
}
