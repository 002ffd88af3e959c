// All mutants in one program: each is asleep until a variable of the
// environment names it. So the program is built once.

package mutate

import (
	"cmp"
	_ "embed"
	"slices"
)

// What a program with mutants reads from its environment.
const (
	chosen  = "MUTANT"         // the ID of the one that is awake
	reached = "MUTANT_REACHED" // a file with a byte for each ID, which becomes 1 when the program gets there
)

// helpers is the source that is added to the program.
//
//go:embed helpers.go.txt
var helpers string

// An edit puts a text into a source.
type edit struct {
	at      int // the offset in the original
	cut     int // bytes of the original that go
	text    string
	closing bool // it ends what another began
	order   int  // among those at one place
}

// apply returns the source with the edits made. Where one node ends and
// another begins, the end comes first.
func apply(source []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int {
		order := cmp.Compare(a.at, b.at)
		if order == 0 && a.closing != b.closing {
			return map[bool]int{true: -1, false: 1}[a.closing]
		}
		return cmp.Or(order, cmp.Compare(a.order, b.order))
	})

	var made []byte
	from := 0
	for _, e := range edits {
		made = append(append(made, source[from:e.at]...), e.text...)
		from = e.at + e.cut
	}
	return append(made, source[from:]...)
}
