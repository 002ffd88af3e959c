// Tests of tasks: long computations are right, take turns, and are in nobody's
// way.

//go:build unix

package rpc

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// compute runs a task to its end, and returns its reply and how many steps it
// took.
func compute(t *testing.T, begin TaskMethod, params string) (reply Reply, steps int) {
	t.Helper()
	step, err := begin(json.RawMessage(params))
	require.NoError(t, err)
	for done := false; !done; steps++ {
		reply, done = step()
	}
	return reply, steps
}

func TestPiTaskGivesTheBitsOfPiSum(t *testing.T) {
	// The batches have 4096 terms: the numbers about their ends, and others.
	terms := []int{0, 1, 2, 3, 93, 95, 99, 4094, 4095, 4096, 4097, 8190, 8191, 8192, 8193, 12287, 12288, 1_000_000}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		terms = append(terms, random.IntN(100_000))
	}
	for _, n := range terms {
		reply, _ := compute(t, PiTask, fmt.Sprint(n))
		assert.Equal(t, "pi_r", reply.Kind)
		var got float64
		require.NoError(t, json.Unmarshal(reply.Result, &got))
		want := PiSum(n)
		assert.Equal(t, math.Float64bits(want), math.Float64bits(got), "n = %d: %v, not %v", n, got, want)
		same, err := Pi(json.RawMessage(fmt.Sprint(n)))
		require.NoError(t, err)
		assert.Equal(t, same, reply, "n = %d", n)
	}
}

func TestPiTaskTakesStepsOfAFractionOfAMillisecond(t *testing.T) {
	const n = 20_000_000
	var before, after unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	_, steps := compute(t, PiTask, fmt.Sprint(n))
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &after))
	// By the processor's time: on a busy machine a step may wait for longer than
	// it computes. Between two looks at the clock are 4096 terms.
	took := time.Duration(after.Utime.Nano() - before.Utime.Nano())
	assert.Greater(t, steps, int(took/stepTime)/10, "in %v", took)
	assert.Greater(t, steps, 10)
	_, steps = compute(t, PiTask, "4000")
	assert.Equal(t, 1, steps, "a short computation is done at once")
}

func TestPiTaskRefusesWhatPiRefuses(t *testing.T) {
	for _, params := range []string{"-1", "1.5", "null", `"5"`, "true", "[1]", "100000001"} {
		_, err := PiTask(json.RawMessage(params))
		_, want := Pi(json.RawMessage(params))
		require.Error(t, want)
		assert.EqualError(t, err, want.Error())
	}
}

func TestTasksTakeTurns(t *testing.T) {
	l := &lab{gate: 3}
	w := startInside(t, Limits{}, l.methods())
	for i := range 3 {
		w.dial().SendRequest("compute", i)
	}
	w.eventually("nine rounds", func() bool { return len(l.steps) >= 27 })
	w.on(func() {
		l.finish = true
		// The last that begins does its first step at once; from the next on it is
		// one step each, in the same order.
		steps := l.steps[3:]
		for len(steps) >= 6 {
			round := slices.Sorted(slices.Values(steps[:3]))
			assert.Equal(t, []string{"0", "1", "2"}, round)
			assert.Equal(t, steps[:3], steps[3:6])
			steps = steps[3:]
		}
	})
}

// However long the computations take: a call beside them is answered promptly.
func TestTasksLeaveTimeForOthers(t *testing.T) {
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())
	var busy []*harness.Conn
	for i := range 4 {
		c := w.dial()
		c.SendRequest("compute", i)
		busy = append(busy, c)
	}
	w.eventually("four computations", func() bool { return len(w.tasks.queue) == 4 })
	other := w.dial()
	var took []time.Duration
	for range 50 {
		began := time.Now()
		w.ping(other)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	assert.Less(t, took[len(took)/2], 100*time.Millisecond)
	w.ping(w.dial()) // a new connection
	w.on(func() {
		assert.Len(t, w.tasks.queue, 4, "all four were busy the whole time")
		l.finish = true
	})
	for i, c := range busy {
		c.WantReply("computed", fmt.Sprint(i))
	}
	w.wantSleep()
}

// Computations that are done in one step each, hundreds of them in one chunk:
// together they are a long one.
func TestManyShortTasksLeaveTimeForOthers(t *testing.T) {
	const calls = 300
	w := startInside(t, Limits{}, nil)
	inOneTurn, most := make(map[int64]int), 0
	short := func(params json.RawMessage) (Task, error) {
		return func() (Reply, bool) {
			for began := time.Now(); time.Since(began) < stepTime/3; {
				continue
			}
			turn := w.waits.Load()
			inOneTurn[turn]++
			most = max(most, inOneTurn[turn])
			return NewReply("computed", params), true
		}, nil
	}
	w.on(func() { w.tasks.methods = map[string]TaskMethod{"short": short} })
	c := w.dial()
	var frames []byte
	for i := range calls {
		frames = append(frames, harness.Frame(harness.Request("short", i))...)
	}
	c.Send(frames)
	for i := range calls {
		c.WantReply("computed", fmt.Sprint(i))
	}
	w.on(func() { assert.Less(t, most, 20, "steps between two looks at the descriptors") })
	w.wantSleep()
}

// A connection whose request is being computed is not read, so what is behind
// it comes after it: more computations, too.
func TestTasksOfOneConnectionComeInOrder(t *testing.T) {
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())
	c := w.dial()
	var frames []byte
	for i := range 4 {
		frames = append(frames, harness.Frame(harness.Request("compute", i))...)
		frames = append(frames, harness.Frame(harness.Request("ping", i))...)
	}
	frames = append(frames, harness.Frame(harness.Request("pi", 3_000_000))...)
	frames = append(frames, harness.Frame(harness.Request("pi", 3_000_000))...)
	c.Send(frames)
	w.eventually("one computation", func() bool { return len(l.steps) > 5 })
	w.on(func() {
		assert.Equal(t, 1, l.running)
		l.finish = true
	})
	for i := range 4 {
		c.WantReply("computed", fmt.Sprint(i))
		c.WantPong(fmt.Sprint(i))
	}
	for range 2 {
		c.WantReply("pi_r", string(NewReply("", PiSum(3_000_000)).Result))
	}
	w.wantSleep()
}

func TestTaskOfACallerWhoLeftIsDropped(t *testing.T) {
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())
	gone, stays, half := w.dial(), w.dial(), w.dial()
	gone.SendRequest("compute", 1)
	stays.SendRequest("compute", 2)
	half.SendRequest("compute", 3)
	half.CloseWrite() // which still reads
	w.eventually("three computations", func() bool { return len(w.tasks.queue) == 3 })
	gone.Reset()
	w.eventually("two computations", func() bool { return len(w.tasks.queue) == 2 })
	w.on(func() { l.steps = nil })
	w.eventually("steps of both others", func() bool { return len(l.steps) >= 10 })
	w.on(func() {
		assert.NotContains(t, l.steps, "1")
		l.finish = true
	})
	stays.WantReply("computed", "2")
	half.WantReply("computed", "3")
	half.WantEOF()
	w.wantSleep()
}

func TestTaskThatPanicsCostsThatCallOnly(t *testing.T) {
	log := captureLog(t)
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())
	other := w.dial()
	other.SendRequest("compute", "other")
	w.eventually("a computation", func() bool { return len(w.tasks.queue) == 1 })
	for _, step := range []int{1, 2, 5} { // the first is done by the handler
		c := w.dial()
		c.SendRequest("break", step)
		c.WantReply("error", `"internal error"`)
		w.ping(c)
	}
	lines := strings.Split(strings.TrimSpace(log()), "\n")
	assert.Len(t, lines, 3)
	for _, line := range lines {
		assert.Contains(t, line, "panicked")
		assert.Contains(t, line, "inside_test.go", "the stack says where")
	}
	w.on(func() { l.finish = true })
	other.WantReply("computed", `"other"`)
}

func TestTasksAnswerWhatIsWrong(t *testing.T) {
	w := startInside(t, Limits{}, (&lab{}).methods())
	c := w.dial()
	c.SendRequest("pi", -1)
	c.WantReply("error", string(ErrorReply(fmt.Errorf("pi: %w", second(Pi(json.RawMessage("-1"))))).Result))
	for _, body := range []string{`{"in":"pi"}`, `{"in":"no such method","params":1}`, `{`, ``} {
		c.SendFrame(body)
		c.WantReply("error", string(NewService().Answer([]byte(body)).Result))
	}
	w.ping(c)
}

func second(_ Reply, err error) error { return err }

// At the end of the server a computation is finished and answered.
func TestTasksAreWaitedForAtTheEnd(t *testing.T) {
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())
	c, idle := w.dial(), w.dial()
	w.ping(idle)
	c.SendRequest("compute", 1)
	w.eventually("a computation", func() bool { return len(w.tasks.queue) == 1 })
	w.Drain()
	idle.WantEOF()
	idle.Close()
	w.wantConns(1)
	c.WantSilence()
	w.on(func() { l.finish = true })
	c.WantReply("computed", "1")
	c.WantEOF()
	c.Close()
	w.wantEnd()
}
