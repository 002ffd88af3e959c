// The tests of this workbook's own texts.

package book

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
)

// workbook returns the workbook's directory and texts.
func workbook(t *testing.T) (root string, docs []*Doc) {
	t.Helper()
	root, err := carry.FindRoot()
	require.NoError(t, err)
	docs, err = Load(root)
	require.NoError(t, err)
	require.NotEmpty(t, docs)
	return root, docs
}

// report fails the test once for each problem.
func report(t *testing.T, problems []string) {
	t.Helper()
	for _, problem := range problems {
		t.Error(problem)
	}
}

func TestQuotesAreWhatTheFilesSay(t *testing.T) {
	root, docs := workbook(t)
	for _, doc := range docs {
		report(t, doc.Stale(root))
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	root, docs := workbook(t)
	report(t, CheckLinks(root, docs))
}
