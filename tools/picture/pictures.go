// The pictures, by file name.

package picture

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/tools/plot"
)

// Transcript is the file with what the demo printed, beside its picture.
const Transcript = "demo.txt"

// Draw returns the pictures by file name: of the transcript in dir, and of pi.
func Draw(dir string) (map[string][]byte, error) {
	file, err := os.Open(filepath.Join(dir, Transcript))
	if err != nil {
		return nil, fmt.Errorf("draw the demo: %w", err)
	}
	defer file.Close()
	recording, err := ReadTranscript(file, "make demo")
	if err != nil {
		return nil, fmt.Errorf("draw the demo: %w", err)
	}

	timeline, err := recording.Timeline()
	if err != nil {
		return nil, err
	}
	var demo, pi, line bytes.Buffer
	if err := timeline.WriteSVG(&line); err != nil {
		return nil, err
	}
	if err := recording.WriteSVG(&demo); err != nil {
		return nil, fmt.Errorf("draw the demo: %w", err)
	}
	if err := convergence().WriteSVG(&pi); err != nil {
		return nil, err
	}
	return map[string][]byte{"demo.svg": demo.Bytes(), "pi.svg": pi.Bytes(), "timeline.svg": line.Bytes()}, nil
}

// convergence plots how far the service's pi(n) is from π, for as many terms as
// it accepts.
func convergence() plot.Plot {
	law, pi := plot.Series{Name: "1 / (π (n + 1))"}, plot.Series{Name: "π − pi(n)"}
	for terms := 1; terms <= rpc.MaxPiTerms; terms *= 10 {
		x := float64(terms)
		pi.Points = append(pi.Points, plot.Point{X: x, Y: math.Pi - rpc.PiSum(terms-1)})
		law.Points = append(law.Points, plot.Point{X: x, Y: 1 / (math.Pi * x)})
	}
	return plot.Plot{
		Title: "Ten times the terms, a tenth of the error", XLabel: "n + 1, the number of terms", YLabel: "error",
		LogX: true, LogY: true, Series: []plot.Series{law, pi},
	}
}
