// Axes: where on the picture a value is, and which values have a label.

package plot

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"example.com/rpcworkbook/tools/figures"
)

// An axis places values between two pixels.
type axis struct {
	log      bool
	from, to float64
	values   []float64
	min, max float64 // the values at from and to
}

// fit chooses the ends: a linear axis begins at 0, where ratios can be seen
// by eye, and a logarithmic one at a tick.
func (a *axis) fit() error {
	if len(a.values) == 0 {
		return errors.New("no points")
	}

	a.min, a.max = math.Inf(1), math.Inf(-1)
	for _, v := range a.values {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || a.log && v == 0 {
			return fmt.Errorf("%v has no place on the axis", v)
		}
		a.min, a.max = min(a.min, v), max(a.max, v)
	}

	if a.log {

		a.min, a.max = down125(a.min), -down125(-a.max)
		if a.min == a.max {
			a.min, a.max = a.min/10, a.max*10
		}
		return nil
	}
	a.min = 0
	if a.max == 0 {
		a.max = 1
	}

	step := a.step()
	a.max = math.Ceil(a.max/step-1e-9) * step
	return nil
}

// place returns the pixel of a value.
func (a *axis) place(v float64) float64 {
	share := (v - a.min) / (a.max - a.min)
	if a.log {
		share = math.Log(v/a.min) / math.Log(a.max/a.min)
	}
	return a.from + share*(a.to-a.from)
}

// step is the distance of about five ticks of a linear axis: 1, 2 or 5 times a
// power of ten.
func (a *axis) step() float64 {
	return -down125(-a.max / 6)
}

// ticks are round numbers.
func (a *axis) ticks() (ticks []float64) {
	if !a.log {
		step := a.step()
		for i := 0.0; i*step <= a.max*1.001; i++ {
			ticks = append(ticks, i*step)
		}
		return ticks
	}

	// All of 1, 2, 5 as far as there is room for them, the powers of ten alone
	// beyond.
	few := a.max/a.min > 3000

	for decade := math.Pow(10, math.Floor(math.Log10(a.min)+1e-9)); decade <= a.max*1.001; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if v := m * decade; v >= a.min*0.999 && v <= a.max*1.001 && (m == 1 || !few) {
				ticks = append(ticks, v)
			}
		}
	}
	return ticks
}

// dataTicks are the values themselves if there are so few that their labels
// don't touch: a reader wants to know where it was measured.
func (a *axis) dataTicks() []float64 {
	const room = 36
	var ticks []float64
	for _, v := range slices.Compact(slices.Sorted(slices.Values(a.values))) {
		if n := len(ticks); n > 0 && math.Abs(a.place(v)-a.place(ticks[n-1])) < room {
			return a.ticks()
		}
		ticks = append(ticks, v)
	}
	return ticks
}

// down125 returns the next 1, 2 or 5 times a power of ten towards -∞; negated
// twice, it goes up.
func down125(v float64) float64 {
	if v < 0 {
		up := -v
		for _, m := range []float64{1, 2, 5, 10} {
			if r := m * math.Pow(10, math.Floor(math.Log10(up)+1e-9)); r >= up*(1-1e-9) {
				return -r
			}
		}
	}

	decade := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, m := range []float64{5, 2} {
		if m*decade <= v*(1+1e-9) {
			return m * decade
		}
	}
	return decade
}

// exact writes the label of a value that was chosen: 10000 as 10,000. Longer
// ones would touch.
func exact(v float64) string {
	if v < 1000 || v >= 1e6 {
		return number(v)
	}
	return figures.Grouped(int(math.Round(v)))
}

// number writes the label of a round value, short.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
