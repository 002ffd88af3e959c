// Book writes what the workbook's texts quote into them, from the files that
// they quote. It is what `make readme` runs.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"example.com/rpcworkbook/internal/book"
	"example.com/rpcworkbook/internal/carry"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "book:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := carry.FindRoot()
	if err != nil {
		return err
	}
	docs, err := book.Load(root)
	if err != nil {
		return err
	}
	wrong := false
	for _, doc := range docs {
		content, problems := doc.Fill(root)
		for _, problem := range problems {
			fmt.Fprintln(os.Stderr, problem)
			wrong = true
		}
		if content == doc.Content() {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, doc.Path), []byte(content), 0o644); err != nil {
			return fmt.Errorf("fill %s: %w", doc.Path, err)
		}
		fmt.Println("wrote", doc.Path)
	}
	if wrong {
		return errors.New("these markers can't be filled; the others are")
	}
	return nil
}
