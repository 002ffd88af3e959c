// Tests of keeping what programs say.

package harness

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The program ends as soon as it can: it must not wait for who reads.
func TestFloodIsKeptWithinABound(t *testing.T) {
	const length = 200 << 20
	p := shell(t, fmt.Sprintf("echo first; yes | head -c %d; echo last", length))
	assert.Zero(t, p.Wait(60*time.Second))
	text := p.Stdout()
	assert.Less(t, len(text), keptFirst+3*keptLast)
	assert.True(t, strings.HasPrefix(text, "first\ny\ny\n"))
	assert.True(t, strings.HasSuffix(text, "\ny\ny\nlast\n"))
	_, note, _ := strings.Cut(text, "… ")
	note, _, _ = strings.Cut(note, "\n")
	assert.Equal(t, fmt.Sprintf("(%d bytes left out)", p.stdout.dropped), note)

	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	assert.Less(t, memory.HeapInuse, uint64(100<<20))
}

func TestAFloodIsNotToldLineByLine(t *testing.T) {
	told := 0
	o := &output{tell: func(string) { told++ }}
	chunk := []byte(strings.Repeat("y\n", 1000))
	for range 2 * maxTold / 1000 {
		o.tellLines(chunk)
	}
	assert.Equal(t, maxTold, told)
}

// Whoever inherits the output may hold it for longer than the program lives.
func TestOutputIsThereWhenTheProgramHasEnded(t *testing.T) {
	for i := range 100 {
		p := shell(t, fmt.Sprint("echo word ", i, "; echo log >&2; sleep 1000 & exit 0"))
		p.Wait(10 * time.Second)
		assert.Equal(t, fmt.Sprint("word ", i, "\n"), p.Stdout())
		assert.Equal(t, "log\n", p.Stderr())
		p.Kill()
	}
}

func TestPipesAreClosed(t *testing.T) {
	NeedProc(t)
	count := func() int { return len(Descriptors(t, os.Getpid())) }
	before := count()
	_, _ = record(t, func(t testing.TB) {
		for range 10 {
			shell(t, "setsid sleep 2 & sleep 1000")
		}
		assert.Greater(t, count(), before+19)
	})
	assert.LessOrEqual(t, count(), before+1, "of whoever still holds the other ends, too")
}
