// The texts that a class gets.

package book

import (
	"fmt"
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
			if number >= 5 { // the tests of make handout do so with those that need no ZooKeeper
				firstIsRed(t, out, c)
			}
		})
	}
}

// firstIsRed begins a chapter in a handout and tries it: nothing but the first
// milestone is red, and says so.
func firstIsRed(t *testing.T, class string, c carry.Chapter) {
	t.Helper()
	var said strings.Builder
	b, err := chapter.Open(class, carry.Workbook(), &said)
	require.NoError(t, err)
	require.NoError(t, b.Begin(c))
	green, err := b.Try(t.Context(), c, chapter.How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Regexp(t, fmt.Sprintf(`(?s)\n%[1]d\.1 ✗ \(1 of .*\n\n✗ %[1]d\.1 .*\n  did .*\n  expected  .*\n  got  .*\n`+
		`  again     make try STEP=%[1]d ONLY=%[1]d\.1\n`, c.Number), said.String())
}
