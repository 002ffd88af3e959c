// Tests of finding the milestones.

package chapter

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A specification in all the forms that a milestone may have.
const spec2 = `package main

import "testing"

func TestSpec2(t *testing.T) {
	t.Run("2.1 the first, \"quoted\"", func(t *testing.T) {
		milestone(t, "2.1 the first, \"quoted\"") // said twice
		Check(t, "2.9", "1.4 of another chapter", "2.x no number", "2.7")
	})
	harness.Milestone(t, ` + "`2.2 the second, raw`" + `, run)
	t.Run("2.10 the "+
		"last", nil)
	_ = "2.11 nobody's argument" // 2.12 a comment
}
`

func TestMilestones(t *testing.T) {
	root := t.TempDir()
	write(t, root, small)
	write(t, root, map[string]string{"step2-b/spec2_test.go": spec2, "step3-c/spec3_test.go": "package"})
	b, _ := open(t, root, smallRules)
	got, err := b.Milestones(b.chapters[1])
	require.NoError(t, err)
	assert.Equal(t, []Milestone{{"2.1", `the first, "quoted"`}, {"2.2", "the second, raw"}, {"2.10", "the last"}}, got)

	_, err = b.Milestones(b.chapters[0])
	assert.ErrorContains(t, err, "no milestone in step1-a/spec1_test.go")
	_, err = b.Milestones(b.chapters[2])
	assert.ErrorContains(t, err, "look for the milestones of chapter 3")
}

func TestOnly(t *testing.T) {
	root := t.TempDir()
	write(t, root, small)
	write(t, root, map[string]string{"step2-b/spec2_test.go": spec2})
	b, _ := open(t, root, smallRules)

	c, m, err := b.only(b.chapters[2], "2.10") // an earlier chapter's
	require.NoError(t, err)
	assert.Equal(t, "step2-b", c.Dir)
	assert.Equal(t, "the last", m.Sentence)

	for only, want := range map[string]string{
		"2.3": "there is no milestone ONLY=2.3: chapter 2 has 2.1 to 2.10",
		"2":   "there is no milestone ONLY=2: chapter 2 has 2.1 to 2.10",
		"3.1": "there is no milestone ONLY=3.1 for STEP=2: " +
			"it is a number such as 2.1, of this chapter or one before it",
		"x":    "there is no milestone ONLY=x for STEP=2",
		".*":   "there is no milestone ONLY=.* for STEP=2",
		"02.1": "there is no milestone ONLY=02.1 for STEP=2",
	} {
		_, _, err := b.only(b.chapters[1], only)
		assert.ErrorContains(t, err, want, only)
	}
}

func TestMilestonesOfTheWorkbook(t *testing.T) {
	b, _ := workbook(t)
	for _, c := range b.chapters {
		all, err := b.Milestones(c)
		require.NoError(t, err)
		assert.Greater(t, len(all), 5, c.Dir)
		for i, m := range all {
			assert.Equal(t, fmt.Sprintf("%d.%d", c.Number, i+1), m.Number)
		}
	}
}
