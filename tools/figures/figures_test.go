// Tests of what stands in tables.

package figures

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSpread(t *testing.T) {
	assert.Equal(t, Spread{}, SpreadOf(nil))
	assert.Equal(t, Spread{Median: 2, Min: 1, Max: 9}, SpreadOf([]float64{9, 1, 2}))
	assert.Equal(t, Spread{Median: 2.5, Min: 1, Max: 9}, SpreadOf([]float64{3, 9, 1, 2}))

	assert.Equal(t, "1 ms … 9 ms", SpreadOf([]float64{9, 1, 2}).Range(Unit("ms")))
	assert.Empty(t, SpreadOf([]float64{9}).Range(Digits), "measured once")
}

func TestNearestRank(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100, 99, ... 1
	}
	assert.EqualValues(t, 99, NearestRank(hundred, 99))
	assert.EqualValues(t, 100, NearestRank(hundred, 100))
	assert.EqualValues(t, 1, NearestRank(hundred, 0))
	assert.EqualValues(t, 7, NearestRank([]float64{3, 7, 5}, 99), "of fewer than 100, the greatest")
	assert.True(t, math.IsNaN(NearestRank(nil, 99)))
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	times := Unit("×")
	for want, got := range map[string]string{
		"1,230,000": Thousands(1234567), "987": Thousands(987.4), "2,000": Thousands(1999), "0": Thousands(0),
		"1.05 ×": times(1.0512), "0.0512 ×": times(0.05123), "12.3 ×": times(12.345), "123 ×": times(123.4),
		"0 ×": times(0), "1041": Digits(1041.2), "3": Digits(3), "0.5": Digits(0.5), "6": Unit("")(6),
		"1.23ms": Nanoseconds(1234567), "15.3µs": Nanoseconds(15_349), "0s": Nanoseconds(0),
		"53 %": Percent(0.531), "1.5 MiB": MiB(1.5 * (1 << 20)), "745 B": Bytes(745.2),
		"999": Grouped(999), "1,000": Grouped(1000), "61,675": Grouped(61675), "1,048,575": Grouped(1048575),
	} {
		assert.Equal(t, want, got)
	}
}

func TestTable(t *testing.T) {
	table := Table{
		Title:   "Targets",
		Heading: []string{"what", "target", "median", ""},
		Rows: [][]string{
			{"stop – until all know", "≤ 50 ms", "2.35 ms", "met"},
			{"calls", "", "0", ""},
		},
	}
	assert.Equal(t, `**Targets**

| what                  | target  |  median |     |
| --------------------- | ------- | ------: | --: |
| stop – until all know | ≤ 50 ms | 2.35 ms | met |
| calls                 |         |       0 |     |
`, table.String())
}
