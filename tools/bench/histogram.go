// A histogram of latencies: recording costs a few instructions and no memory,
// so it can stand beside millions of calls a second.

package bench

import (
	"math/bits"
	"time"
)

// Values that share their highest 7 bits share a bucket, so a percentile is
// off by less than a hundredth. Values below 128 ns have one each.
const subBits = 7

// A Histogram counts durations. The zero value is empty. It is not safe for
// concurrent use.
type Histogram struct {
	buckets [(64 - subBits) << subBits]int64
	count   int64
}

// Record counts n calls that took d each. A negative d counts as 0.
func (h *Histogram) Record(d time.Duration, n int64) {
	v := uint64(max(d, 0))
	exponent := max(bits.Len64(v)-subBits-1, 0)
	h.buckets[uint64(exponent)<<subBits+v>>exponent] += n
	h.count += n
}

// Add counts what other has counted, too.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
}

// Count returns how many have been recorded.
func (h *Histogram) Count() int64 { return h.count }

// Percentile returns the duration that p percent (0 to 100) took at most, 0 if
// nothing was recorded.
func (h *Histogram) Percentile(p float64) time.Duration {
	rank, seen := int64(p/100*float64(h.count)+0.5), int64(0)
	for i, n := range h.buckets {
		seen += n
		if seen >= max(rank, 1) {
			exponent := max(i>>subBits-1, 0)
			low := uint64(i-exponent<<subBits) << exponent
			return time.Duration(low + (1<<exponent-1)/2) // the middle of the bucket
		}
	}
	return 0
}
