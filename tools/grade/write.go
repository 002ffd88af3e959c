// Writing what came of a run: for the class some files, for each student a
// directory.

package grade

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// write writes all outputs.
func (c *Class) write(results []*Result) error {
	weights, err := readWeights(c.Weights)
	if err != nil {
		return err
	}

	files := map[string][]byte{}
	var errs []error
	add := func(name string, text []byte, err error) {
		files[name] = text
		errs = append(errs, err)
	}

	text, err := table(results)
	add("grades.csv", text, err)
	text, err = junit(results)
	add("junit.xml", text, err)
	for _, r := range results {
		add(filepath.Join(r.Who, "report.md"), c.markdown(r), nil)
		text, err = c.html(r)
		add(filepath.Join(r.Who, "report.html"), text, err)
		text, err = gradescope(r, weights)
		add(filepath.Join(r.Who, "results.json"), text, err)
	}
	err = errors.Join(errs...)
	if err != nil {
		return err
	}

	for _, r := range results {
		err := c.writePictures(r)
		if err != nil {
			return err
		}
	}
	for name, text := range files {
		err := c.writeOne(name, text)
		if err != nil {
			return err
		}
	}
	return nil
}

// writeOne writes an output.
func (c *Class) writeOne(name string, text []byte) error {
	path := filepath.Join(c.Out, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = writeFile(path, text)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
