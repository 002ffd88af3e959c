// Tests of what the demo does with a registry, and says of it.

//go:build unix

package demo

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// noticeboard is a registry that can't be started.
var noticeboard = Registry{
	Name: "Noticeboard", One: "a Noticeboard", Entry: "note", Lease: "pin", Timeout: 9 * time.Second,
	Program: func(context.Context) (string, error) { return "the-server", nil },
	Start:   func(context.Context) (Running, error) { return nil, errors.New("out of pins") },
}

func TestRegistryThatCannotBeStarted(t *testing.T) {
	screen, buf := page()
	cast, err := newCast(t.Context(), noticeboard)
	require.NoError(t, err)
	assert.Equal(t, "the-server", cast.program)
	show, err := newShow(screen, cast)
	require.NoError(t, err)
	assert.EqualError(t, show.play(t.Context()), "out of pins")
	assert.Contains(t, buf.String(), "Two servers register in Noticeboard. A client ")
	assert.Empty(t, cast.clear())
	assert.True(t, show.score(nil).print(screen))
}

func TestRegistryWithoutProgram(t *testing.T) {
	kind := noticeboard
	kind.Program = func(context.Context) (string, error) { return "", errors.New("no such program") }
	_, err := newCast(t.Context(), kind)
	assert.EqualError(t, err, "no such program")
}

func TestScoreboardNamesTheRegistry(t *testing.T) {
	screen, buf := page()
	b := example()
	b.kind = noticeboard
	b.print(screen)
	assert.Contains(t, buf.String(), `
  * A killed master can't say goodbye: its note stays until Noticeboard has
    heard nothing from it for 9s, the pin timeout.
`)
}
