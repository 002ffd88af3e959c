// Tests of dismissal.

package harness

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestDismissedProgramIsForgotten(t *testing.T) {
	log := mustFail(t, func(t testing.TB) {
		p := shell(t, "printf 'a last %s' word >&2; exit 7")
		p.Wait(10 * time.Second)
		p.Dismiss()
		Check(t, false, "something", "something else")
	})
	report, _, _ := strings.Cut(log, "all that happened") // the trace has everything
	assert.Contains(t, report, "something else")
	assert.NotContains(t, report, "exit code 7")
	assert.NotContains(t, report, "a last word")
}

func TestDismissTellsOfACrash(t *testing.T) {
	log := mustFail(t, func(t testing.TB) { shell(t, "echo 'panic: oh dear' >&2").Dismiss() })
	assert.Contains(t, log, "crashed: panic: oh dear")
}

func TestDismissFindsWhatIsLeft(t *testing.T) {
	t.Parallel() // it takes as long as a program may take to disappear
	log := mustFail(t, func(t testing.TB) { shell(t, "sleep 1000 & exit").Dismiss() })
	assert.Contains(t, log, "nothing left of program")
	assert.Contains(t, log, "sleep")
}
