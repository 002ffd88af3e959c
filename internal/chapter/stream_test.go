// Tests of reading `go test -json`.

package chapter

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tell makes a stream of pairs: test, and what it prints; or, with a "!", test
// and action.
func tell(t *testing.T, pairs ...string) io.Reader {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		e := event{Action: "output", Test: pairs[i], Output: pairs[i+1]}
		if action, ok := strings.CutPrefix(pairs[i+1], "!"); ok {
			e = event{Action: action, Test: pairs[i]}
		}
		line, err := json.Marshal(e)
		require.NoError(t, err)
		b.Write(append(line, '\n'))
	}
	return strings.NewReader(b.String())
}

// heard follows a stream and returns what was told, in words.
func heard(t *testing.T, from io.Reader) (*stream, string) {
	t.Helper()
	var s stream
	var told []string
	require.NoError(t, s.follow(from, func(test, action string) { told = append(told, test+" "+action) }))
	return &s, strings.Join(told, ", ")
}

func TestFollow(t *testing.T) {
	s, told := heard(t, tell(t,
		"A", "!run", "A/1.1_x", "!run", "A/1.1_x/inside", "!run", "A/1.1_x/inside", "!fail", "A/1.1_x", "!pause",
		"A/1.1_x", "!pass", "A/1.2_1/(n+1)", "!run", "A/1.2_1/(n+1)/more", "!pass", "A/1.2_1/(n+1)", "!pass", "A",
		"!pass", "", "!skip"))
	assert.Equal(t, "A run, A/1.1_x run, A/1.1_x pass, A/1.2_1/(n+1) run, A/1.2_1/(n+1) pass, A pass,  skip", told)
	assert.False(t, s.red)

	s, _ = heard(t, tell(t, "A/1.1_x", "!pass", "A/1.2_y", "!fail", "A/1.3_z", "!fail", "A", "!fail", "", "!fail"))
	assert.True(t, s.red)
	assert.Equal(t, "A/1.2_y", s.failed)

	wrong := errors.New("wrong")
	assert.ErrorIs(t, s.follow(iotest.ErrReader(wrong), nil), wrong)
	long := strings.Repeat("x", 1<<20)
	s, _ = heard(t, tell(t, "A", long, "A", "!fail"))
	text, _ := s.report(false)
	assert.Len(t, text, 1<<20)
}

func TestReport(t *testing.T) {
	const (
		name = "A/1.1_x"
		want = "✗ 1.1 x\n  did  0.1s  this\n  got  --- a\n       +++ b\n\n  again  make"
	)
	logged := []string{
		name, "=== RUN   A/1.1_x\n", name, "    conn.go:12: the trace:\n        line\n",
		name, "    spec1_test.go:3", name, "0: \n", // written in pieces
		name, "        ✗ 1.1 x\n          did  0.1s  this\n          got  --- a\n               +++ b\n" +
			"        \n          again  make\n",
		name, "    process.go:1: stdout:\n            FAIL of the program\n",
		name, "--- FAIL: A/1.1_x (0.37s)\n", name, "!fail",
	}
	s, _ := heard(t, tell(t, logged...))
	text, ok := s.report(false)
	assert.True(t, ok)
	assert.Equal(t, want, text)
	text, ok = s.report(true)
	assert.True(t, ok)
	assert.Equal(t, "the trace:\nline\n"+want+"\nstdout:\n    FAIL of the program", text)

	s, _ = heard(t, tell(t, name, "    a.go:1: ✗ 1.1 x\n          did  0.1s  this\n", name, "!fail"))
	text, _ = s.report(false)
	assert.Equal(t, "✗ 1.1 x\n  did  0.1s  this", text, "on the line of the place")

	s, _ = heard(t, tell(t, name, "trace\n✗ 1.1 x\n  did\n          deep\n", name+"/inside", "✗ more\n", name, "!fail"))
	text, _ = s.report(false)
	assert.Equal(t, "✗ 1.1 x\n  did\n          deep", text, "printed, not logged")
}

// A failure that isn't a milestone's, or a milestone that ends without a
// report.
func TestReportOfOtherFailures(t *testing.T) {
	for _, c := range []struct {
		name, want string
		stream     []string
	}{
		{"a milestone in its own words", "panic: x\nin TestMain\ngoroutine 1",
			[]string{"A/1.1_x", "panic: x\n", "A/1.1_x", "!fail", "A", "--- FAIL: A (0.00s)\n", "A", "in TestMain\n",
				"", "goroutine 1\n", "", "FAIL\n", "", "!fail"}},
		{"around the milestones", "set up\nexit",
			[]string{"A", "=== RUN   A\n", "A", "    a.go:3: set up\n", "A", "!fail", "", "exit\n", "",
				"FAIL\tx\t0.1s\n", "", "exit status 1\n", "", "!fail"}},
		{"the package", "x.go:3: undefined",
			[]string{"", "x.go:3: undefined\n", "", "FAIL\tx [build failed]\n", "", "!fail"}},
	} {
		s, _ := heard(t, tell(t, c.stream...))
		text, ok := s.report(false)
		assert.False(t, ok, c.name)
		assert.Equal(t, c.want, text, c.name)
	}
	s, _ := heard(t, strings.NewReader("go: no such tool\n{\"Action\":\"fail\"}"))
	text, _ := s.report(false)
	assert.Equal(t, "go: no such tool", text, "no JSON, no last line end")
}
