// Tests of what is remembered of tries.

package chapter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	root := reader(t, "2.1 skip 2.2 not", nil)
	b, out := open(t, root, smallRules)
	progress := func() string {
		out.Reset()
		require.NoError(t, b.Progress())
		return out.String()
	}
	const legend = `
✓ green, ✗ red, – not asked of your program, · not tried yet: as make try found them last
`
	assert.Equal(t, `chapter 1  ····  0 of 4
chapter 2  ····  0 of 4
chapter 3  ····  0 of 4
`+legend, progress())

	_, err := b.Try(t.Context(), b.chapters[1], How{})
	require.NoError(t, err)
	write(t, root, map[string]string{"_mine/can": ""})
	_, err = b.Try(t.Context(), b.chapters[1], How{Only: "2.4"})
	require.NoError(t, err)
	_, err = b.Try(t.Context(), b.chapters[0], How{})
	require.NoError(t, err)
	assert.Equal(t, `chapter 1  ✓✓✓✓  4 of 4
chapter 2  –✗·✓  1 of 4, red: 2.2
chapter 3  ····  0 of 4
`+legend, progress())

	for i, want := range []string{
		"", "warning: milestone 2.2 is still red, and what follows is our solution of all of chapter 2", "",
	} {
		warning, err := b.Unfinished(b.chapters[i])
		require.NoError(t, err)
		assert.Equal(t, want, warning, "of chapter %d", i+1)
	}

	require.NoError(t, os.WriteFile(filepath.Join(root, "_mine", progressFile), []byte("{"), 0o600))
	assert.ErrorContains(t, b.Progress(), "read what came of milestones: ")
	_, err = b.Try(t.Context(), b.chapters[0], How{})
	require.NoError(t, err)
	assert.Contains(t, progress(), "chapter 1  ✓✓✓✓  4 of 4\nchapter 2  ····  0 of 4")
}
