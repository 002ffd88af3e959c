// Tests of looking at a program's processes.

package harness

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/proc"
)

func TestStandsStill(t *testing.T) {
	parent, child := proc.Info{PID: 1, State: 'D'}, proc.Info{PID: 2, Parent: 1, State: 'T'}
	assert.True(t, standsStill(child, nil))
	assert.True(t, standsStill(parent, []proc.Info{parent, child}), "it waits for a stopped child")
	child.State = 'S'
	assert.False(t, standsStill(parent, []proc.Info{parent, child}))
	child = proc.Info{PID: 2, Parent: 3, State: 'T'}
	assert.False(t, standsStill(parent, []proc.Info{parent, child}), "another one's child")
	parent.State = 'R'
	assert.False(t, standsStill(parent, nil))
}
