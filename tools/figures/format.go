// Numbers: three digits are what a measurement is worth.

package figures

import (
	"fmt"
	"math"
	"time"
)

// Digits writes three digits, or all of those before the point; of a round
// number no more than it has.
func Digits(v float64) string {
	if short := fmt.Sprintf("%.15g", v); len(short) <= 4 {
		return short
	}
	return fmt.Sprintf("%.*f", max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))), v)
}

// Unit returns a format: Digits, and the unit behind a space; "" for none.
func Unit(unit string) func(float64) string {
	if unit == "" {
		return Digits
	}
	return func(v float64) string { return Digits(v) + " " + unit }
}

// Percent writes 0.5 as 50 %.
func Percent(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

// Bytes writes a few of them to the byte, and MiB many of them.
func Bytes(v float64) string { return fmt.Sprintf("%.0f B", v) }

// MiB writes bytes in units of 1024 × 1024.
func MiB(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

// Nanoseconds writes them as a duration of three digits, as in 15.3µs.
func Nanoseconds(v float64) string { return time.Duration(rounded(int64(v))).String() }

// Thousands writes 1234567 as 1,230,000.
func Thousands(v float64) string { return Grouped(int(rounded(int64(v)))) }

// rounded returns a number that isn't negative with three digits and zeros.
func rounded(n int64) int64 {
	unit := int64(1)
	for n/unit >= 1000 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// Grouped writes a whole number in groups of three digits, as in 1,234,567.
func Grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Grouped(n/1000), n%1000)
}
