// A test on this process.

//go:build linux

package usage

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOurOwn(t *testing.T) {
	here := []int{os.Getpid()}
	before, err := CPUTime(here)
	require.NoError(t, err)
	for began := time.Now(); time.Since(began) < 10*time.Millisecond; {
	}
	after, err := CPUTime(here)
	require.NoError(t, err)
	assert.Greater(t, after, before)

	resident, rss, err := Memory(here)
	require.NoError(t, err)
	assert.Greater(t, resident, int64(1<<20))
	assert.GreaterOrEqual(t, rss, resident)
}

func TestAProcessThatIsNotThere(t *testing.T) {
	_, err := CPUTime([]int{1<<22 + 1})
	assert.ErrorContains(t, err, "process 4194305")
	_, _, err = Memory([]int{1<<22 + 1})
	assert.ErrorContains(t, err, "process 4194305")
}
