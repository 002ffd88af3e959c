// Tests of the command line; the commands have theirs in package chapter.

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "usage: chapter begin STEP"},
		{[]string{"fly", "3"}, "usage: chapter begin STEP"},
		{[]string{"begin"}, "STEP is missing: it is a number from 1 to 6, as in `make begin STEP=3`"},
		{[]string{"compare", ""}, "as in `make compare STEP=3`"},
		{[]string{"try", "-only", "3.2", "final"}, "there is no chapter STEP=final: it is a number from 1 to 6"},
		{[]string{"try", "-fast", "3"}, "flag provided but not defined: -fast"},
		{[]string{"begin", "-race", "3"}, "flag provided but not defined: -race"},
		{[]string{"handout", "3", ""}, "OUT is missing"},
	} {
		_, err := run(c.args)
		assert.ErrorContains(t, err, c.want, c.args)
	}
}

func TestColors(t *testing.T) {
	for _, c := range []struct {
		term, noColor string
		want          bool
	}{
		{"xterm-256color", "", true},
		{"dumb", "", false}, // an editor's window, say
		{"", "", false},
		{"xterm", "1", false},
	} {
		t.Setenv("TERM", c.term)
		t.Setenv("NO_COLOR", c.noColor)
		assert.Equal(t, c.want, wantsColors(), "TERM=%s NO_COLOR=%s", c.term, c.noColor)
	}
}
