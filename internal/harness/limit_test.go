// Tests of limits: programs that are slow rather than wrong.

package harness

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// limitMilestones sets how long a milestone may take, for one test.
func limitMilestones(t *testing.T, most time.Duration) {
	before := maxMilestone
	t.Cleanup(func() { maxMilestone = before })
	maxMilestone = most
}

func TestMilestoneOfAThousandSlowReplies(t *testing.T) {
	limitMilestones(t, 500*time.Millisecond)
	addr := fake(t, "-slow", "20ms").Addr
	began := time.Now()
	log := mustFail(t, func(t testing.TB) {
		t = as{t, "TestSpec2/2.4_many"}
		Usually(t, "a write took only a part")
		c := Dial(t, addr)
		for i := range 1000 {
			c.SendRequest("ping", i)
			c.WantPong(fmt.Sprint(i))
		}
	})
	assert.Less(t, time.Since(began), 10*time.Second)
	assert.Regexp(t, `  expected  all of this milestone within 500ms
  got       \d\.\d\ds  after \d+ replies it was still waiting for .*:
            .* i/o timeout`, log)
	assert.NotContains(t, log, "usually")
}

// A condition that is not met, a program that doesn't end, and bytes that
// nobody takes.
func TestLimitEndsEveryWait(t *testing.T) {
	limitMilestones(t, 200*time.Millisecond)
	mute, good := fake(t, "-mute").Addr, fake(t).Addr
	for name, wait := range map[string]func(t testing.TB){
		"nothing, within 10s": func(t testing.TB) {
			Eventually(t, 10*time.Second, "nothing", func() (bool, string) { return false, "something" })
		},
		"to end within 10s":         func(t testing.TB) { shell(t, "sleep 1000").Wait(10 * time.Second) },
		"the server to take":        func(t testing.TB) { Dial(t, mute).Send(make([]byte, 64<<20)) },
		"the end of the connection": func(t testing.TB) { Dial(t, good).WantEOF() },
	} {
		began := time.Now()
		log := mustFail(t, func(t testing.TB) { wait(as{t, "TestSpec2/2.4_many"}) })
		assert.Less(t, time.Since(began), 5*time.Second)
		assert.Contains(t, log, "after 0 replies it was still waiting for ")
		assert.Contains(t, log, name)
	}
}

// Milestones that run in parallel say what is usual and wait for their turn.
func TestLimitBeginsWithTheFirstVerb(t *testing.T) {
	limitMilestones(t, 200*time.Millisecond)
	failed, log := record(t, func(t testing.TB) {
		t = as{t, "TestSpec2/2.4_many"}
		Usually(t, "no matter")
		time.Sleep(300 * time.Millisecond) // the turn of another
		Eventually(t, time.Second, "a second look", func() (bool, string) {
			time.Sleep(time.Millisecond)
			return true, ""
		})
	})
	assert.False(t, failed, log)
}

func TestLimitIsNotForTheCompiler(t *testing.T) {
	t0 := as{t, "TestSpec2/2.4_many"}
	begin(t0)
	hasBuilt(t0, time.Hour)
	assert.Greater(t, time.Until(until(t0, 2*time.Hour)), 30*time.Minute)
}

// timed is a milestone in a run that ends soon.
type timed struct {
	testing.TB
	end time.Time
}

func (timed) Name() string                         { return "TestSpec2/2.4_many" }
func (t timed) Deadline() (end time.Time, ok bool) { return t.end, true }

func TestGoTestsTimeoutIsNeverReached(t *testing.T) {
	log := mustFail(t, func(t testing.TB) {
		t = timed{t, time.Now().Add(lastMoment + 100*time.Millisecond)}
		shell(t, "sleep 1000").Wait(10 * time.Second)
	})
	assert.Contains(t, log, "expected  all milestones within the -timeout of go test\n")
	assert.Contains(t, log, "still waiting for process")
}

func TestSlowStartsHaveABoundTogether(t *testing.T) {
	aim(t, "'"+Build(t, "testdata/server")+"' {host} {port}")
	little.Serve(t, Options{})
	assert.Zero(t, starts.slow)

	for range 4 {
		starts.took(slowStart - time.Second)
		starts.took(maxSlow/4 + time.Second)
	}
	log := mustFail(t, func(t testing.TB) { little.Serve(as{t, "TestSpec1/1.5_a"}, Options{}) })
	assert.Contains(t, log, "expected  a server that accepts connections 10s after its start")
	assert.Contains(t, log, "slower ones, which took 2m4s so far")
	t.Run("again", func(t *testing.T) {
		defer func() { assert.True(t, t.Skipped()) }()
		little.Serve(t, Options{})
	})
	aim(t, "")
}
