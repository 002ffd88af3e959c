// Tests of breaking programs, with a small one whose tests miss some things.

package mutate

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/proc"
)

func TestMain(m *testing.M) {
	code := m.Run()
	proc.End()
	os.Exit(code)
}

// small returns the small program, and where the list goes.
func small(t *testing.T) (Subject, *strings.Builder) {
	t.Helper()
	dir, err := filepath.Abs("testdata/small")
	require.NoError(t, err)
	var said strings.Builder
	return Subject{
		Dir: dir, Files: []string{"small.go"}, Spec: "TestSpec9", Milestones: []string{"9.1"}, Jobs: 4,
		Results: filepath.Join(t.TempDir(), "sub", "results.json"), Say: &said, Tell: io.Discard,
	}, &said
}

// What its tests notice is not in the list: whatever only the program's worker
// does, a loop without an end, and one that takes all memory.
func TestSurvivors(t *testing.T) {
	t.Parallel()
	s, said := small(t)
	require.NoError(t, s.Run(t.Context()))
	assert.Equal(t, `small/small.go:20: left out: q.asked = true
small/small.go:21: left out of ||: n < 0 (no test gets here)
small/small.go:21: <= in place of <: n < 0 (no test gets here)
small/small.go:32: left out: return 2 * a (no test gets here)
small/small.go:32: returns nothing: 2 * a (no test gets here)
small/small.go:32: 2 is one more (no test gets here)
small/small.go:46: left out: slices.Sort(q.items) (no test gets here)
small/small.go:47: returns nothing: q.items (no test gets here)
small/small.go:50: limit is ten times as long
21 mutants: 12 killed, 2 survived, and 7 where no test gets
`, said.String())
}

func TestGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s, said := small(t)
	s.Sample = 5
	require.NoError(t, s.Run(t.Context()))
	before, err := os.ReadFile(s.Results)
	require.NoError(t, err)
	list := said.String()

	require.NoError(t, os.WriteFile(s.Results, append(before, "\n{\"ID\":1"...), 0o600)) // cut off while it was written
	said.Reset()
	require.NoError(t, s.Run(t.Context()))
	after, err := os.ReadFile(s.Results)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after), "nothing is tested twice")
	assert.Equal(t, list, said.String())

	s.Files = []string{"main.go"} // of another program nothing is known
	require.NoError(t, s.Run(t.Context()))
	after, err = os.ReadFile(s.Results)
	require.NoError(t, err)
	assert.NotContains(t, string(after), strings.Split(string(before), "\n")[1])
}

func TestWhatCanNotBeTested(t *testing.T) {
	t.Parallel()
	s, _ := small(t)
	s.Files = []string{"large.go"}
	assert.ErrorContains(t, s.Run(t.Context()), "no file ")

	s.Files = []string{"small_test.go"}
	assert.ErrorContains(t, s.Run(t.Context()), "small_test.go is compiled here")

	s.Files = []string{"small.go"}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	assert.ErrorContains(t, s.Run(ctx), "context canceled")
}

func TestProgress(t *testing.T) {
	var said strings.Builder
	p := newProgress(&said, 2, "of them")
	p.step("")
	p.step(", more")
	p.end()
	assert.Equal(t, "2 of 2 of them, more, about 0s left\n", said.String())
}
