// Tests of what the demo prints: the table, the meters and the sums behind
// them.

//go:build unix

package demo

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func page() (*screen, *bytes.Buffer) {
	var buf bytes.Buffer
	return &screen{out: &buf, began: time.Now()}, &buf
}

// zookeeper has the longest names.
var zookeeper = Registry{
	Name: "ZooKeeper", One: "a ZooKeeper", Entry: "znode", Lease: "session", Timeout: 6 * time.Second,
}

// example has the longest texts that there can be.
func example() scoreboard {
	return scoreboard{
		kind: zookeeper,
		rows: []row{
			{522 * time.Millisecond, "A starts", "shows A in 140 ms", "A answers in 151 ms"},
			{5700 * time.Millisecond, "B is told to stop: SIGTERM", "drops B in 999 ms", "B's last after 999 ms"},
			{11600 * time.Millisecond, "master of A killed: SIGKILL", "drops A in 10.44 s *", "A's last after 1.01 s"},
		},
		tally: tally{
			calls: 61, answered: map[string]int{"127.0.0.1:20001": 20, "127.0.0.1:20002": 41},
			slowest: 190 * time.Millisecond,
		},
		servers: []*server{
			{name: "A", addr: "127.0.0.1:20001"},
			{name: "B", addr: "127.0.0.1:20002"},
		},
		took: 19430 * time.Millisecond,
	}
}

func TestScoreboard(t *testing.T) {
	screen, buf := page()
	assert.True(t, example().print(screen))
	assert.Equal(t, `
  time  what happened                the client's list     the calls
  0.5s  A starts                     shows A in 140 ms     A answers in 151 ms
  5.7s  B is told to stop: SIGTERM   drops B in 999 ms     B's last after 999 ms
 11.6s  master of A killed: SIGKILL  drops A in 10.44 s *  A's last after 1.01 s
  * A killed master can't say goodbye: its znode stays until ZooKeeper has
    heard nothing from it for 6s, the session timeout.

  calls        61; the slowest took 190 ms
  failed       0
  server A     20 answered, at 127.0.0.1:20001
  server B     41 answered, at 127.0.0.1:20002
  left behind  no process
  duration     19.43 s
`, buf.String())
	for line := range strings.Lines(buf.String()) {
		assert.LessOrEqual(t, len(line)-1, 80, "%s", line)
	}
}

func TestScoreboardWithoutTimeout(t *testing.T) {
	screen, buf := page()
	b := example()
	b.rows = b.rows[:2]
	assert.True(t, b.print(screen))
	assert.NotContains(t, buf.String(), "*")
}

func TestScoreboardFailedCall(t *testing.T) {
	screen, buf := page()
	b := example()
	b.tally.failed, b.tally.failure = 3, errors.New("ping: no server answered")
	assert.False(t, b.print(screen))
	assert.Contains(t, buf.String(), "  failed       3\n")
	assert.Contains(t, buf.String(), "Calls have failed. The first: ping: no server answered\n")
}

func TestScoreboardLeftBehind(t *testing.T) {
	screen, buf := page()
	b := example()
	b.left = []string{"processes [7] of server A", "processes [8 9] of ZooKeeper"}
	assert.False(t, b.print(screen))
	assert.Contains(t, buf.String(), "\n  left behind  processes [7] of server A\n"+
		"               processes [8 9] of ZooKeeper\n")
}

// As when the registry can't be started.
func TestScoreboardEmpty(t *testing.T) {
	screen, buf := page()
	scoreboard{}.print(screen)
	assert.Empty(t, buf.String())
}

func TestShort(t *testing.T) {
	for d, text := range map[time.Duration]string{
		0: "0 ms", 499 * time.Microsecond: "0 ms", 1500 * time.Microsecond: "2 ms", 152 * time.Millisecond: "152 ms",
		999400 * time.Microsecond: "999 ms", 999600 * time.Microsecond: "1.00 s", 5434 * time.Millisecond: "5.43 s",
	} {
		assert.Equal(t, text, short(d), "%v", d)
	}
}

func TestMeters(t *testing.T) {
	screen, buf := page()
	screen.meters([]meter{
		{name: "A", style: 44, calls: 50, of: 200},
		{name: "B", style: 45, calls: 150, of: 200},
	}, 0)
	screen.meters([]meter{
		{name: "A", style: 44, calls: 0, of: 200, state: "dead, still listed"},
		{name: "B", style: 45, calls: 9999, of: 9999},
	}, 1234)
	assert.Equal(t, ""+
		"  0.0s  A #####                  50   B ###############       150   failed 0\n"+
		"  0.0s  A dead, still listed      0   B #################### 9999   failed 1234\n", buf.String())
	for line := range strings.Lines(buf.String()) {
		assert.LessOrEqual(t, len(line)-1, 80, "%s", line)
	}
}

func TestColorsOnATerminal(t *testing.T) {
	screen, buf := page()
	screen.colors = true
	screen.meters([]meter{{name: "A", style: 44, calls: 100, of: 200}}, 2)
	assert.Contains(t, buf.String(), "A \x1b[44m          \x1b[0m            100")
	assert.Contains(t, buf.String(), "\x1b[31mfailed 2\x1b[0m")
}

func TestNoColorsInAFile(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer file.Close()
	assert.False(t, newScreen(file).colors)

	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // passes for a terminal
	require.NoError(t, err)
	defer device.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	assert.True(t, newScreen(device).colors)
	t.Setenv("NO_COLOR", "1")
	assert.False(t, newScreen(device).colors)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	assert.False(t, newScreen(device).colors)
}

func TestSum(t *testing.T) {
	now := time.Now()
	after := func(d time.Duration) time.Time { return now.Add(d) }
	s := sum([]call{
		{began: now, ended: after(time.Millisecond), server: "a"},
		{began: now, ended: after(3 * time.Millisecond), server: "b"},
		{began: now, ended: after(2 * time.Millisecond), server: "a", err: errors.New("first")},
		{began: now, ended: after(2 * time.Millisecond), err: errors.New("second")},
	})
	assert.Equal(t, tally{calls: 4, failed: 2, failure: errors.New("first"),
		answered: map[string]int{"a": 1, "b": 1}, slowest: 3 * time.Millisecond}, s)
}
