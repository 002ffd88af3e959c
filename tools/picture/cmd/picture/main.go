// Picture draws the workbook's pictures, and the dark version of each, those
// drawn by hand included. `make pictures` runs it with the directory of the
// demo's transcript; the argument "runs" has broken programs run, a minute, and
// draws what happens (`make run-pictures`).
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/tools/picture"
	"example.com/rpcworkbook/tools/shade"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: picture DIR\n       picture runs")
		os.Exit(2)
	}
	draw := drawReadme
	if os.Args[1] == "runs" {
		draw = drawRuns
	}
	if err := draw(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// drawReadme draws the README's pictures, and makes those by hand dark.
func drawReadme(dir string) error {
	pictures, err := picture.Draw(dir)
	if err != nil {
		return err
	}
	for name, svg := range pictures {
		if err := shade.WriteBoth(filepath.Join(dir, name), svg); err != nil {
			return err
		}
	}

	root, err := carry.FindRoot()
	if err != nil {
		return err
	}
	paths, err := shade.Pictures(root)
	if err != nil {
		return err
	}
	for _, path := range paths {
		svg, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := shade.WriteBoth(path, svg); err != nil {
			return err
		}
	}
	return nil
}

// drawRuns draws the chapters' pictures of broken programs.
func drawRuns(string) error {
	root, err := carry.FindRoot()
	if err != nil {
		return err
	}

	for _, shot := range picture.Shots {
		run, err := shot.Take(root)
		if err != nil {
			return err
		}
		if err := shade.WriteBoth(filepath.Join(root, shot.File), shot.Draw(run)); err != nil {
			return err
		}
	}
	return nil
}
