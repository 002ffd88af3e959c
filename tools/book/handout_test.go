// The texts that a class gets.

package book

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/chapter"
)

// In a handout every link leads somewhere, and the pages beside the chapters
// name no command that isn't there.
func TestTextsOfHandouts(t *testing.T) {
	root, _ := workbook(t)
	whole, err := chapter.Open(root, carry.Workbook(), io.Discard)
	require.NoError(t, err)

	out := filepath.Join(t.TempDir(), "class") // one path for all: go knows what it has compiled there
	for number := 1; number <= 6; number++ {
		t.Run(strconv.Itoa(number), func(t *testing.T) {
			require.NoError(t, os.RemoveAll(out))
			c, err := whole.Chapter("handout", strconv.Itoa(number))
			require.NoError(t, err)
			require.NoError(t, whole.Handout(c, out))

			docs, err := Load(out)
			require.NoError(t, err)
			report(t, CheckLinks(out, docs))

			checker := &Checker{Root: out, Help: help(t, out)}
			for _, d := range docs {
				assert.NotContains(t, d.Content(), "whole -->", d.Path)
				if !strings.HasPrefix(d.Path, "step") {
					report(t, checker.Check(d))
				}
			}
		})
	}
}
