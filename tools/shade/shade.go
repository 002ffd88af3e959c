// Package shade makes the dark version of a picture. Every SVG of the workbook
// is drawn in light colours; the file beside it, whose name ends in -dark.svg,
// is the same with other ones, and a text shows the one that suits its reader's
// page. What draws pictures writes both with WriteBoth.
package shade

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// dark has for each colour of the light pictures that of the dark ones.
var dark = map[string]string{
	// Pages, boxes, lines and texts.
	"#ffffff": "#0d1117", "#f4f4f4": "#1b222c", "#e4e4e4": "#2b333d", "#cccccc": "#3b4450", "#999999": "#5a6673",
	"#666666": "#8b98a5", "#444444": "#b6c2cf", "#222222": "#e6edf3", "#111111": "#f0f6fc",

	// Fills of boxes.
	"#dceaf5": "#16324a", "#e3edf9": "#16304d", "#e3f4ee": "#11392d", "#e2f2e1": "#16371a", "#fdf3e7": "#3d2c12",
	"#f7d9a8": "#5c430f", "#f9e3e3": "#4a1d1d",

	// Lines that are told apart by their colours.
	"#0072b2": "#4db2f0", "#d55e00": "#ff9248", "#009e73": "#3fd3a6", "#cc79a7": "#eba3c8", "#7a5c00": "#d9b44a",
	"#3b6ea8": "#6aa5e6", "#3f8a3b": "#6cc768", "#a83b3b": "#ee8585", "#b3261e": "#ff8a80", "#17692b": "#56d178",
	"#3f8ae0": "#5aa2f2", "#c06fd6": "#d48be8",
}

var colour = regexp.MustCompile(`#[0-9a-fA-F]{6}\b`)

// Dark returns the dark version of a picture. A colour that has none is an
// error.
func Dark(svg []byte) ([]byte, error) {
	var unknown []string
	out := colour.ReplaceAllFunc(svg, func(c []byte) []byte {
		other, ok := dark[strings.ToLower(string(c))]
		if !ok {
			unknown = append(unknown, string(c))
		}
		return []byte(other)
	})
	if unknown != nil {
		return nil, fmt.Errorf("tools/shade has no dark colour for %s", strings.Join(unknown, " "))
	}
	return out, nil
}

// DarkName returns the name of the dark version of a file.
func DarkName(name string) string { return strings.TrimSuffix(name, ".svg") + "-dark.svg" }

// Pictures returns the paths of the light pictures in the workbook in root, but
// not of those that are parts of programs, in internal.
func Pictures(root string) (paths []string, err error) {
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (name[0] == '.' || name[0] == '_' || name == "internal") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".svg") && !strings.HasSuffix(name, "-dark.svg") {
			paths = append(paths, path)
		}
		return nil
	})
	return paths, err
}

// WriteBoth writes a picture to the path, and its dark version beside it.
func WriteBoth(path string, svg []byte) error {
	other, err := Dark(svg)
	if err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	if err := os.WriteFile(path, svg, 0o644); err != nil {
		return err
	}
	return os.WriteFile(DarkName(path), other, 0o644)
}
