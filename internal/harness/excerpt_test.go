// Tests of what reports show of long texts.

package harness

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestExcerpt(t *testing.T) {
	t.Setenv("CI", "")
	aim(t, "")
	var lines []string
	for i := range 1100 {
		lines = append(lines, fmt.Sprint("line ", i))
	}

	log := mustFail(t, func(t testing.TB) { Check(t, false, "none", "%s", strings.Join(lines, "\n")) })
	want := `line 4
            … (1092 lines more; -v shows more of them)
            line 1097
            line 1098
            line 1099
`
	if tracing() {
		want = strings.Replace(want, "; -v shows more of them", ", see below", 1)
	}
	assert.Contains(t, log, want)

	targets.again = "make try STEP=4 ONLY="
	assert.Equal(t, tracing(), whereMore() != "; V=1 shows more of them")
	nine := strings.Join(lines[:9], "\n")
	assert.Equal(t, nine, excerpt(nine), "a note would take as much")
	assert.Equal(t, strings.Repeat("x", 300)+"… (1000 bytes)", excerpt(strings.Repeat("x", 1000)))
}
