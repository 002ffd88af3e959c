// Dismissal: for tests that start programs again and again.

package harness

import (
	"fmt"
	"time"
)

// Dismiss expects that the program has ended, or does so soon, and that
// nothing of it is left then, and forgets it. Without, a program is remembered
// until the end of the test, and killed once more; in a test that starts
// hundreds, its number may belong to a stranger by then. A crash of one of its
// processes fails the test. Call no other verb of the program afterwards.
func (p *Program) Dismiss() {
	p.t.Helper()
	Eventually(p.t, 10*time.Second, fmt.Sprintf("nothing left of program %d", p.PID), func() (bool, string) {
		ended := p.Ended() // asked first: it may leave a child that a list from before doesn't show
		left, err := p.group.Living()
		if err != nil {
			return false, err.Error()
		}
		return ended && len(left) == 0, p.Tree()
	})
	p.cleanup()
	p.dismissed = true
}
