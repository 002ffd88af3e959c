// Tests of making stubs from small sources.

package stubs

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// set makes a set of names.
func set(names ...string) map[string]bool {
	s := map[string]bool{}
	for _, name := range names {
		s[name] = true
	}
	return s
}

const queue = `// A queue.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// What it may hold.
const (
	limit   = 3 // items
	patience = pause * time.Second // for room

	taken = 1
)

const pause = 2

// ErrFull says so.
var ErrFull = errors.New("full") // to everybody

// A Queue is one.
type Queue struct {
	Name string

	// Only the loop touches these.
	items []item // the oldest first
	fd, other int

	hidden secret // nobody needs it
}

type item struct{ value unix.Signal }

type secret struct{}

type reader interface{ read(deadline time.Time) secret2 }

type secret2 int

// Put adds one.
func (q *Queue) Put(i item) (int, error) {
	if len(q.items) == limit {
		return 0, fmt.Errorf("%w: %d", ErrFull, limit)
	}
	return 0, nil
}

func (q *Queue) grow() {}

func (q *Queue) shrink() {}

func (secret) Do() {}

func helper() {}

func Each[T any](all []T) {}
`

func TestMake(t *testing.T) {
	made, err := Make(map[string]string{
		"queue.go": queue,
		"main.go":  "package main\n\nimport \"log\"\n\n// main says it.\nfunc main() { log.Print(1) }\n",
		"empty.go": "// Nothing.\n\npackage main\n\nvar nobody = 1\n",
	}, set("Queue", "fd", "grow", "patience", "ErrFull", "Each", "reader"), set("taken", "helper", "pause"))
	require.NoError(t, err)
	assert.Equal(t, []string{"empty.go", "main.go", "queue.go"}, slices.Sorted(maps.Keys(made)))
	assert.Equal(t, "// Nothing.\n\npackage main\n", made["empty.go"])
	assert.Equal(t, `package main

import (
	"fmt"
	"os"
)

// main says it.
func main() {
	fmt.Fprintln(os.Stderr, "not written yet")
	os.Exit(1)
}
`, made["main.go"])
	assert.Equal(t, `// A queue.

//go:build unix

package main

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// What it may hold.
const (
	limit    = 3                   // items
	patience = pause * time.Second // for room

)

// ErrFull says so.
var ErrFull = errors.New("full") // to everybody

// A Queue is one.
type Queue struct {
	Name string

	fd, other int
}

type item struct{ value unix.Signal }

type reader interface {
	read(deadline time.Time) secret2
}

type secret2 int

// Put adds one.
func (q *Queue) Put(i item) (int, error) { panic("Queue.Put is not written yet") }

func (q *Queue) grow() { panic("Queue.grow is not written yet") }

func Each[T any](all []T) { panic("Each is not written yet") }
`, made["queue.go"])

	_, err = Make(map[string]string{"a.go": "package"}, set(), set())
	assert.ErrorContains(t, err, "make a stub: a.go:1")
}

func TestExtend(t *testing.T) {
	const have = `// The program.
package main

import (
	"fmt"
)

func main() { fmt.Println(run()) }

func run() int { return 1 }
`
	const later = `package main

import (
	"os"
	"time"
)

func main() { master(0) }

func run() int { return 2 }

// master waits.
func master(patience time.Duration) { os.Exit(1) }

func helper() {}
`
	made, err := Extend(have, later, set("main", "run", "master"), set("main", "run"))
	require.NoError(t, err)
	assert.Equal(t, `// The program.
package main

import (
	"fmt"
	"time"
)

func main() { fmt.Println(run()) }

func run() int { return 1 }

// master waits.
func master(patience time.Duration) { panic("master is not written yet") }
`, made)

	made, err = Extend(have, later, set("run"), set("main", "run"))
	require.NoError(t, err)
	assert.Equal(t, have, made, "nothing is needed")
	_, err = Extend(have, "package", set(), set())
	assert.ErrorContains(t, err, "add stubs: main.go:1")
}

func TestInText(t *testing.T) {
	names := map[string]bool{}
	InText(names, "Words `Code(x)`, and `more`.\n\n```go\nfunc f() { a.b() }\n```\n\nafter `c`\n\n"+
		"- a list\n  ```go\n  d\n  ```\n")
	assert.Equal(t, set("Code", "x", "more", "go", "func", "f", "a", "b", "c", "d"), names)
}

func TestInGo(t *testing.T) {
	names := map[string]bool{}
	InGo(names, "package p // comment\n\nvar x = y.z(\"text\")\n")
	assert.Equal(t, set("p", "x", "y", "z"), names)
}

func TestTests(t *testing.T) {
	assert.Equal(t, []string{"a_test.go", "b_c_test.go", "d_test.go", "e_test.go"},
		Tests("cp step1-x/a_test.go .; `b_c_test.go`\n\n    (cd x && cp y/{d,e}_test.go ../_mine/)\n"))
	assert.Empty(t, Tests("a_test.py and test.go"))
}
