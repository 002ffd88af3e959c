// Writing what came of a run: for the class some files, for each student a
// directory.

package grade

import (
	"fmt"
	"os"
	"path/filepath"
)

// write writes all outputs.
func (c *Class) write(results []*Result) error {
	grades, err := table(results)
	if err != nil {
		return err
	}
	files := map[string][]byte{"grades.csv": grades}
	for _, r := range results {
		files[filepath.Join(r.Who, "report.md")] = c.markdown(r)
	}

	for name, text := range files {
		path := filepath.Join(c.Out, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = writeFile(path, text)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
