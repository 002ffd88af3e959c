// How much of earlier chapters' specifications a step's tests ask.

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// earlierVariable is the variable of the environment that says so. With the
// value "first" it is the first milestone of each earlier chapter: a step's own
// directory asks the others. With any other value it is all of them.
const earlierVariable = "EARLIER_MILESTONES"

var stepDir = regexp.MustCompile(`^step([0-9]+)-`)

// withoutEarlier adds to skip, a pattern as -skip takes it, the milestones that
// the tests in a directory needn't ask. The milestone that is the first has the
// number 1 in its chapter.
func withoutEarlier(dir, skip string) string {
	step := stepDir.FindStringSubmatch(filepath.Base(dir))
	if os.Getenv(earlierVariable) != "first" || step == nil {
		return skip
	}

	number, _ := strconv.Atoi(step[1])
	if skip != "" {
		skip += "|"
	}
	return skip + fmt.Sprintf(`^TestSpec[0-%d]$/^[0-9]+\.([2-9]|[0-9]{2,})_`, number-1)
}
