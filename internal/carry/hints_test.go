// A failing milestone says what is usually wrong and points into its chapter's
// README: what it points at must be there.

package carry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
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
	milestoneName = regexp.MustCompile(`^(\d+\.\d+) `)
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

		milestones := hints(t, spec)
		require.NotEmpty(t, milestones, spec)
		for i, milestone := range milestones {
			name, first := milestone.name, milestone.first
			assert.Equal(t, chapter+"."+strconv.Itoa(i+1), name, "the milestones of %s in order", spec)
			assert.NotEmpty(t, first, "the first thing that milestone %s says, by harness.Usually", name)

			for _, hint := range milestone.all {
				m := pointer.FindStringSubmatch(hint)
				assert.Equal(t, strings.Contains(hint, "README"), m != nil, "the pointer of %s: %s", name, hint)
				if m != nil {
					assert.Contains(t, readmes[m[1]], "**"+m[2]+".**", "where milestone %s points", name)
				}
			}
		}
	}
	assert.NotEmpty(t, readmes)
}

// A hinting is what one milestone says of its usual causes.
type hinting struct {
	name  string   // its number
	first string   // what it begins with
	all   []string // a later one stands for what is asked from there on
}

// hints returns what the milestones of a specification say, in their order.
func hints(t *testing.T, spec string) (all []hinting) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), spec, nil, 0)
	require.NoError(t, err)

	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		title, _ := Text(call.Args[0])
		run, ok := call.Args[1].(*ast.FuncLit)
		m := milestoneName.FindStringSubmatch(title)
		if ok && m != nil {
			all = append(all, hinting{m[1], usually(run.Body.List[0]), everyUsually(run.Body)})
		}
		return true
	})
	return all
}

// everyUsually returns the hints in a body.
func everyUsually(body *ast.BlockStmt) (all []string) {
	ast.Inspect(body, func(node ast.Node) bool {
		hint := usually(node)
		if hint != "" {
			all = append(all, hint)
		}
		return true
	})
	return all
}

// usually returns the hint of a call of harness.Usually, "" of anything else.
func usually(node ast.Node) string {
	statement, ok := node.(*ast.ExprStmt)
	if !ok {
		return ""
	}
	call, ok := statement.X.(*ast.CallExpr)
	if !ok || types.ExprString(call.Fun) != "harness.Usually" {
		return ""
	}

	text, _ := Text(call.Args[1])
	return text
}
