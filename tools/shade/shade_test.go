// Tests of the dark versions, also of those that are in the repository.

package shade

import (
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
)

func TestDark(t *testing.T) {
	svg, err := Dark([]byte(`<rect fill="#FFFFFF"/><use href="#head"/>`))
	require.NoError(t, err)
	assert.Equal(t, `<rect fill="#0d1117"/><use href="#head"/>`, string(svg))
	_, err = Dark([]byte("#123456"))
	assert.ErrorContains(t, err, "no dark colour for #123456")
}

func TestEveryPictureHasItsDarkVersion(t *testing.T) {
	root, err := carry.FindRoot()
	require.NoError(t, err)
	paths, err := Pictures(root)
	require.NoError(t, err)
	require.NotEmpty(t, paths)

	for _, path := range paths {
		light, err := os.ReadFile(path)
		require.NoError(t, err)
		want, err := Dark(light)
		require.NoError(t, err, path)
		there, err := os.ReadFile(DarkName(path))
		require.NoError(t, err, "make pictures writes it")
		assert.True(t, string(there) == string(want), "%s is not the dark version of %s: make pictures writes it",
			DarkName(path), path)
	}
}

// Texts can be read: on the page their contrast is at least what WCAG asks for.
func TestTextsStandOut(t *testing.T) {
	for _, text := range []string{"#111111", "#222222", "#444444", "#666666"} {
		assert.GreaterOrEqual(t, contrast(t, text, "#ffffff"), 4.5, text)
		assert.GreaterOrEqual(t, contrast(t, dark[text], dark["#ffffff"]), 4.5, text)
	}

	boxes := []string{"#f4f4f4", "#dceaf5", "#e3edf9", "#e3f4ee", "#e2f2e1", "#fdf3e7", "#f7d9a8", "#f9e3e3"}
	for _, box := range boxes {
		assert.GreaterOrEqual(t, contrast(t, "#222222", box), 4.5, box)
		assert.GreaterOrEqual(t, contrast(t, dark["#222222"], dark[box]), 4.5, box)
	}
}

func contrast(t *testing.T, a, b string) float64 {
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance is as WCAG defines it.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	part := func(i int) float64 {
		v, err := strconv.ParseUint(colour[i:i+2], 16, 8)
		require.NoError(t, err)
		c := float64(v) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(1) + 0.7152*part(3) + 0.0722*part(5)
}
