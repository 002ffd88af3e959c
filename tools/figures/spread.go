// Package figures makes of repeated measurements what a table shows: their
// spread, numbers with three digits, and the table itself. Both benchmarks use
// it, and the plots write their labels with it.
package figures

import (
	"math"
	"slices"
)

// A Spread is what repeated measurements of one figure gave.
type Spread struct{ Median, Min, Max float64 }

// SpreadOf returns the spread of the values, 0 throughout for none.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}
}

// Range writes the least and the greatest value; "" if they are the same.
func (s Spread) Range(format func(float64) string) string {
	if s.Min == s.Max {
		return ""
	}
	return format(s.Min) + " … " + format(s.Max)
}

// NearestRank returns the least value that so many percent (0 to 100) of the
// values don't exceed, NaN for no values.
func NearestRank(values []float64, percent int) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
