// The workbook needs three modules besides its own.

package carry

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestThreeDirectDependencies(t *testing.T) {
	root, err := FindRoot()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	var direct []string
	require := regexp.MustCompile(`(?m)^(?:require )?\s*([a-z.]+\.[a-z]+/\S+) v\S+$`)
	for _, m := range require.FindAllStringSubmatch(string(text), -1) {
		direct = append(direct, m[1])
	}
	assert.Equal(t, []string{"github.com/go-zookeeper/zk", "github.com/stretchr/testify", "golang.org/x/sys"}, direct)
}
