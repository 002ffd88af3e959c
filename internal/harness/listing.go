// Listings: programs that print a line for the set of servers, and for every
// change of it.

package harness

import (
	"fmt"
	"strings"
	"time"
)

// A Listing is a program that shows who is there: on each line fresh or stale,
// how many servers there are, and their addresses, in order.
type Listing struct{ *Program }

// Lines returns the whole lines that were printed so far.
func (l *Listing) Lines() []string {
	text := l.Stdout()
	text = text[:strings.LastIndexByte(text, '\n')+1]
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// WaitLine waits until the last line is this set of servers. It fails the test
// after 10 s, or when the program ends before.
func (l *Listing) WaitLine(state string, addrs ...string) {
	l.t.Helper()
	want := strings.Join(append([]string{state, fmt.Sprint(len(addrs))}, addrs...), " ")
	Eventually(l.t, 10*time.Second, fmt.Sprintf("the line %q as the last one", want), func() (bool, string) {
		lines := l.Lines()
		ok := len(lines) > 0 && lines[len(lines)-1] == want
		if !ok && l.Ended() {
			fail(l.t, fmt.Sprintf("the line %q", want),
				fmt.Sprintf("an end with exit code %d; lines so far: %q", l.exitCode(), lines))
		}
		return ok, fmt.Sprintf("%q", lines)
	})
}
