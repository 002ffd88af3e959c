// The gate on this repository: every later step holds the earlier ones' files
// unchanged, and no chapter is over its budget.

package carry

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStepsHaveNotDriftedApart(t *testing.T) {
	root, err := FindRoot()
	require.NoError(t, err)
	tree, err := Load(root, Workbook())
	require.NoError(t, err)
	require.NotEmpty(t, tree.steps, "no step directory in %s", root)
	problems, err := tree.Check()
	require.NoError(t, err)
	for _, problem := range problems {
		t.Error(problem)
	}
}
