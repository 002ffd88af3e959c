// Tests of tasks: long computations are right, come one after the other, and
// are in nobody's way.

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
	// By the processor's time: on a busy machine a step may wait for longer
	// than it computes. Between two looks at the clock are 4096 terms.
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

// A dozen computations of the same length. The first is answered when it had
// its steps, not when everybody had nearly all of theirs.
func TestTasksOldestFirst(t *testing.T) {
	const tasks, steps = 12, 3 * freshSteps
	l := &lab{closed: true}
	w := startInside(t, Limits{}, l.methods())
	for i := range tasks {
		w.dial().SendRequest("work", []int{i, steps})
		w.eventually("one more computation", func() bool { return l.running == i+1 })
	}
	w.eventually("all long", func() bool { return len(w.tasks.long) == tasks })
	w.on(func() { l.closed = false })
	w.eventually("all done", func() bool { return len(l.done) == tasks })
	w.on(func() {
		for i, done := range l.done {
			assert.InDelta(t, i, done.name, maxAbreast-1, "the age of who is done as number %d", i)
			assert.LessOrEqual(t, done.after, (i+maxAbreast)*steps, "steps of all when number %d is done", i)
		}
	})
}

// A computation of some milliseconds comes when there are many long ones.
func TestShortTaskDoesNotWaitForLongOnes(t *testing.T) {
	const steps = freshSteps / 3
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())

	for i := range 20 {
		w.dial().SendRequest("compute", i)
	}
	w.eventually("twenty long computations", func() bool { return len(w.tasks.long) == 20 })

	c := w.dial()
	for i := range 5 {
		c.SendRequest("work", []int{i, steps})
		c.WantReply("worked", fmt.Sprint(i))
		w.on(func() {
			done := l.done[i]
			assert.Less(t, done.after-done.before, 3*steps, "steps of all from the call to the reply")
		})
	}

	w.on(func() { l.finish = true })
}

// Short computations come without end: a long one has its share all the same.
func TestLongTaskGoesOnBesideShortOnes(t *testing.T) {
	const steps = 10 * freshSteps
	l := &lab{closed: true}
	w := startInside(t, Limits{}, l.methods())

	long := w.dial()
	long.SendRequest("work", []int{0, steps})
	w.eventually("a long computation", func() bool { return len(w.tasks.long) == 1 })

	for range 5 {
		short := w.dial()
		go func() {
			for short.TrySend(harness.Frame(harness.Request("work", []int{1, freshSteps / 3}))) == nil {
				if _, err := short.TryReply(); err != nil {
					return
				}
			}
		}()
	}

	w.eventually("short ones, too", func() bool { return len(w.tasks.fresh) > 1 })
	w.on(func() { l.closed = false })
	long.WantReply("worked", "0")
	w.on(func() {
		for _, done := range l.done {
			if done.name == 0 {
				assert.Less(t, done.after, 4*steps, "steps of all")
			}
		}
	})
}

// One without end doesn't keep the others waiting for ever.
func TestTaskWithoutEndIsNotAlone(t *testing.T) {
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())
	w.dial().SendRequest("compute", "endless")
	w.eventually("a computation", func() bool { return len(w.tasks.long) == 1 })
	c := w.dial()
	c.SendRequest("work", []int{0, 3 * freshSteps})
	c.WantReply("worked", "0")
	w.on(func() { l.finish = true })
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
	w.eventually("four computations", func() bool { return w.tasks.underWay() == 4 })

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
		assert.Equal(t, 4, w.tasks.underWay(), "all four were busy the whole time")
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

	w.on(func() { w.tasks.service["short"] = TaskMethod(short) })
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
	stays, half := w.dial(), w.dial()
	stays.SendRequest("compute", 1)
	half.SendRequest("compute", 2)
	half.CloseWrite() // which still reads
	w.eventually("two long computations", func() bool { return len(w.tasks.long) == 2 })

	// Whose turn would not come before these two have ended.
	gone := w.dial()
	gone.SendRequest("compute", 3)
	w.eventually("a third one", func() bool { return len(w.tasks.long) == 3 })
	gone.Reset()
	w.eventually("two computations", func() bool { return len(w.tasks.long) == 2 })

	w.on(func() { l.steps = nil })
	w.eventually("steps of both others", func() bool { return len(l.steps) >= 10 })
	w.on(func() {
		assert.NotContains(t, l.steps, "3")
		l.finish = true
	})

	stays.WantReply("computed", "1")
	half.WantReply("computed", "2")
	half.WantEOF()
	w.wantSleep()

	// And the only one.
	w.on(func() { l.finish = false })
	gone = w.dial()
	gone.SendRequest("compute", 4)
	w.eventually("a computation", func() bool { return w.tasks.underWay() == 1 })
	gone.Reset()
	w.eventually("no computation", func() bool { return w.tasks.underWay() == 0 })
	w.ping(stays)
	w.wantSleep()
}

func TestTaskThatPanicsCostsThatCallOnly(t *testing.T) {
	log := harness.CaptureLog(t)
	l := &lab{}
	w := startInside(t, Limits{}, l.methods())
	other := w.dial()
	other.SendRequest("compute", "other")
	w.eventually("a computation", func() bool { return w.tasks.underWay() == 1 })

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
	w.eventually("a computation", func() bool { return w.tasks.underWay() == 1 })

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
