// A failing milestone says what is usually wrong and points into its chapter's
// README: what it points at must be there.

package carry

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	milestoneCall = regexp.MustCompile(`t\.Run\("(\d+)\.(\d+) [^\n]*\n(?:\t\t(\S+)\(t, .(.*).\)\n)?`)
	pointer       = regexp.MustCompile(`→ step(\d) README, "([^"]+)"$`)
)

func TestEveryMilestoneHasAHintAndItsPlaceInTheReadme(t *testing.T) {
	root, err := FindRoot()
	require.NoError(t, err)
	specs, err := filepath.Glob(filepath.Join(root, "step*", "spec*_test.go"))
	require.NoError(t, err)
	readmes := map[string]string{}
	for _, spec := range specs {
		dir := filepath.Dir(spec)
		chapter := filepath.Base(dir)[len("step") : len("step")+1]
		if filepath.Base(spec) != "spec"+chapter+"_test.go" {
			continue // carried from an earlier chapter
		}
		text, err := os.ReadFile(filepath.Join(dir, "README.md"))
		require.NoError(t, err)
		readmes[chapter] = strings.Join(strings.Fields(string(text)), " ")
		source, err := os.ReadFile(spec)
		require.NoError(t, err)
		calls := milestoneCall.FindAllStringSubmatch(string(source), -1)
		require.NotEmpty(t, calls, spec)
		for i, call := range calls {
			name := call[1] + "." + call[2]
			assert.Equal(t, chapter+"."+strconv.Itoa(i+1), name, "the milestones of %s in order", spec)
			if !assert.Equal(t, "harness.Usually", call[3], "the first thing that milestone %s says", name) {
				continue
			}
			m := pointer.FindStringSubmatch(call[4])
			assert.Equal(t, strings.Contains(call[4], "README"), m != nil, "the pointer of %s", name)
			if m != nil {
				assert.Contains(t, readmes[m[1]], "**"+m[2]+".**", "where milestone %s points", name)
			}
		}
	}
	assert.NotEmpty(t, readmes)
}
