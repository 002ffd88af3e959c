// Waiting: for a condition, with a deadline, and never for a length of time.

package harness

import (
	"fmt"
	"testing"
	"time"
)

// Eventually waits until condition says ok, asking it again and again on the
// test's goroutine. After the time within it ends the test with a report: the
// expectation what, a phrase such as "16 new workers", and what condition
// said last about the state it saw.
func Eventually(t testing.TB, within time.Duration, what string, condition func() (ok bool, got string)) {
	t.Helper()
	begin(t)
	deadline := until(t, within)
	pause := time.Millisecond

	for {
		ok, got := condition()
		if ok {
			return
		}

		bomb := ""
		tell(t, func(s *story) { bomb = findBomb(s) })
		if bomb != "" || time.Now().After(deadline) {
			fail(t, fmt.Sprintf("%s, within %v", what, within), got)
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}
