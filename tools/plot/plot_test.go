// A plot is well-formed XML with everything in it, and inside the picture.

package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func example() Plot {
	return Plot{
		Title: "Throughput & <more>", XLabel: "connections", YLabel: "calls/s", LogX: true, LogY: true,
		Series: []Series{
			{Name: "ours", Points: []Point{{1, 41000}, {8, 110000}, {64, 128000}, {256, 126000}, {1000, 101000}}},
			{Name: "raw echo", Points: []Point{{1, 37500}, {8, 100000}, {64, 113000}, {256, 110000}, {1000, 105000}}},
			{Name: "net/rpc", Points: []Point{{1, 15000}, {8, 60000}, {64, 73000}, {256, 70000}, {1000, 60000}}},
		},
	}
}

// parsed checks that it is XML and returns its texts and the numbers of each
// kind of coordinate.
func parsed(t *testing.T, svg []byte) (texts []string, xs, ys []float64) {
	t.Helper()
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		require.NoError(t, err)
		return v
	}

	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts, xs, ys
		}
		require.NoError(t, err)

		switch token := token.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" {
				texts = append(texts, s)
			}
		case xml.StartElement:
			for _, attr := range token.Attr {
				switch attr.Name.Local {
				case "x":
					xs = append(xs, number(attr.Value))
				case "y":
					ys = append(ys, number(attr.Value))
				case "points":
					for pair := range strings.FieldsSeq(attr.Value) {
						x, y, _ := strings.Cut(pair, ",")
						xs, ys = append(xs, number(x)), append(ys, number(y))
					}
				}
			}
		}
	}
}

func TestPlotSaysEverythingInsideThePicture(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, example().WriteSVG(&out))
	texts, xs, ys := parsed(t, out.Bytes())
	for _, want := range []string{
		"Throughput & <more>", "connections", "calls/s", "ours", "raw echo", "net/rpc",
		"1", "8", "64", "256", "1,000", "20k", "100k", "200k",
	} {
		require.Contains(t, texts, want)
	}
	for i := range xs {
		inside := xs[i] >= 0 && xs[i] <= plotWidth && ys[i] >= 0 && ys[i] <= plotHeight
		require.True(t, inside, "(%v, %v) is outside", xs[i], ys[i])
	}
}

func TestPlotIsTheSameEachTime(t *testing.T) {
	var first, second bytes.Buffer
	require.NoError(t, example().WriteSVG(&first))
	require.NoError(t, example().WriteSVG(&second))
	require.Equal(t, first.String(), second.String())
}

func TestPlotRefusesWhatHasNoPlace(t *testing.T) {
	for _, points := range [][]Point{nil, {{0, 1}}, {{1, math.NaN()}}, {{1, -1}}, {{math.Inf(1), 1}}} {
		var out bytes.Buffer
		p := Plot{Title: "bad", LogX: true, Series: []Series{{Name: "s", Points: points}}}
		require.ErrorContains(t, p.WriteSVG(&out), `plot "bad"`)
		require.Zero(t, out.Len())
	}
}

func TestAxisPlacesItsEndsAndTicks(t *testing.T) {
	linear := axis{from: 100, to: 300, values: []float64{3, 17}}
	require.NoError(t, linear.fit())
	require.Equal(t, []float64{0, 5, 10, 15, 20}, linear.ticks())
	require.InDelta(t, 100, linear.place(0), 1e-9)
	require.InDelta(t, 200, linear.place(10), 1e-9)

	log := axis{log: true, from: 300, to: 100, values: []float64{0.3, 40}}
	require.NoError(t, log.fit())
	require.InDeltaSlice(t, []float64{0.2, 0.5, 1, 2, 5, 10, 20, 50}, log.ticks(), 1e-9)
	require.InDelta(t, 300, log.place(0.2), 1e-9)
	require.InDelta(t, 100, log.place(50), 1e-9)

	one := axis{log: true, from: 0, to: 100, values: []float64{1}}
	require.NoError(t, one.fit())
	require.InDelta(t, 50, one.place(1), 1e-9)
}

func TestWriteFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	require.NoError(t, WriteFiles(dir, map[string]Plot{"a.svg": example()}))
	require.FileExists(t, filepath.Join(dir, "a.svg"))
	require.FileExists(t, filepath.Join(dir, "a-dark.svg"))
	require.ErrorContains(t, WriteFiles(dir, map[string]Plot{"b.svg": {Title: "bad"}}), `plot "bad"`)
	require.NoFileExists(t, filepath.Join(dir, "b.svg"))
}
