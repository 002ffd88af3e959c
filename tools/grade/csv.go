// The table of a class.

package grade

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

// table returns grades.csv: a line for each student.
func table(results []*Result) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	lines := [][]string{{"who", "passed", "of", "failed", "skipped", "not reached", "seconds", "problem"}}
	for _, r := range results {
		lines = append(lines, []string{
			r.Who, strconv.Itoa(len(r.With(Passed))), strconv.Itoa(len(r.Verdicts)),
			strings.Join(r.With(Failed), " "), strings.Join(r.With(Skipped), " "), strings.Join(r.With(Unreached), " "),
			fmt.Sprintf("%.0f", r.Took.Seconds()), r.headline(),
		})
	}
	err := w.WriteAll(lines)
	return b.Bytes(), err
}
