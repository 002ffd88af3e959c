// Condensing: what the picture draws as one row, and what it leaves out.

package runpicture

import (
	"fmt"
	"time"
)

// together is how long the connections of one row take, at most, to be made or
// closed one after another.
const together = 100 * time.Millisecond

// condense returns the events that have rows. Many connections that come or go
// without anything else meanwhile are one row. What is tried is left out: that
// it worked, or didn't, follows.
func condense(events []Event) (rows []Event) {
	for _, e := range events {
		if e.Kind == Dialed || e.Kind == Held && len(e.To) != 1 {
			continue
		}
		if e.Kind != Opened && e.Kind != Closed {
			rows = append(rows, e)
			continue
		}

		e.To = []Lane{e.Lane}
		if len(rows) == 0 {
			rows = append(rows, e)
			continue
		}
		last := &rows[len(rows)-1]
		if last.Kind != e.Kind || e.At-last.At > together {
			rows = append(rows, e)
			continue
		}

		last.To = append(last.To, e.Lane)
		what := "made"
		if e.Kind == Closed {
			what = "closed"
		}
		last.Text = fmt.Sprintf("%d connections %s: %d to %d",
			len(last.To), what, last.To[0].Number, e.Lane.Number)
	}
	return rows
}
