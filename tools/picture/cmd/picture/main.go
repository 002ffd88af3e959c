// Picture draws the README's pictures, in the directory that its argument
// names, which has the transcript of the demo. `make pictures` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"example.com/rpcworkbook/tools/picture"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: picture DIR")
		os.Exit(2)
	}
	if err := draw(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func draw(dir string) error {
	pictures, err := picture.Draw(dir)
	if err != nil {
		return err
	}
	for name, svg := range pictures {
		if err := os.WriteFile(filepath.Join(dir, name), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}
