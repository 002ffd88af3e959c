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

	var demo, pi bytes.Buffer
	if err := recording.WriteSVG(&demo); err != nil {
		return nil, fmt.Errorf("draw the demo: %w", err)
	}
	if err := convergence().WriteSVG(&pi); err != nil {
		return nil, err
	}
	return map[string][]byte{"demo.svg": demo.Bytes(), "pi.svg": pi.Bytes()}, nil
}

// convergence plots how far the service's pi(n) is from π, for as many terms as
// it accepts.
func convergence() plot.Plot {
	law, pi := plot.Series{Name: "1 / (π (n + 1))"}, plot.Series{Name: "π − pi(n)"}
	for n := 1; n <= rpc.MaxPiTerms; n *= 10 {
		pi.Points = append(pi.Points, plot.Point{X: float64(n), Y: math.Pi - rpc.PiSum(n)})
		law.Points = append(law.Points, plot.Point{X: float64(n), Y: 1 / (math.Pi * float64(n+1))})
	}
	return plot.Plot{
		Title: "Ten times the terms, a tenth of the error", XLabel: "n", YLabel: "error",
		LogX: true, LogY: true, Series: []plot.Series{law, pi},
	}
}
