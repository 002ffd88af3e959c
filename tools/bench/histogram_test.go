// The histogram's percentiles, held against sorted samples.

package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistogramOfNothing(t *testing.T) {
	var h Histogram
	require.Zero(t, h.Percentile(99))
	require.Zero(t, h.Count())
}

func TestHistogramCountsEachOfABatch(t *testing.T) {
	var h Histogram
	h.Record(10*time.Nanosecond, 98)
	h.Record(100*time.Nanosecond, 1)
	h.Record(-5, 1)
	require.EqualValues(t, 100, h.Count())
	require.Equal(t, 10*time.Nanosecond, h.Percentile(50))
	require.Equal(t, 10*time.Nanosecond, h.Percentile(99))
	require.Equal(t, 100*time.Nanosecond, h.Percentile(100))
	require.Zero(t, h.Percentile(0))
}

func TestHistogramIsWithinAHundredth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var samples []time.Duration
	for range 20000 {
		d := time.Duration(math.Exp(random.Float64() * 30)) // 1 ns to 3 hours
		h.Record(d, 1)
		samples = append(samples, d)
	}

	slices.Sort(samples)
	for _, p := range []float64{1, 10, 50, 90, 99, 99.9} {
		want := samples[int(p/100*float64(len(samples)))-1]
		require.InEpsilon(t, float64(want), float64(h.Percentile(p)), 0.01, "p%v", p)
	}
}

func TestHistogramTakesTheLongestDuration(t *testing.T) {
	var h Histogram
	h.Record(math.MaxInt64, 1)
	require.InEpsilon(t, float64(math.MaxInt64), float64(h.Percentile(50)), 0.01)
}
