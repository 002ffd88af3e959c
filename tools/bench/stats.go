// Statistics of a few figures: what a table of rounds needs.

package bench

import "slices"

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

// sortedUnique returns the values in order, each once.
func sortedUnique(values []float64) []float64 {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}
