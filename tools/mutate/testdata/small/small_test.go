package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func TestQueue(t *testing.T) {
	var q Queue
	assert.NoError(t, q.Put(1, 1))
	assert.ErrorIs(t, q.Put(2, 1), errFull)
	assert.Equal(t, []int{1}, q.items)
}

func TestZeros(t *testing.T) {
	assert.Empty(t, Zeros(0))
	assert.Len(t, Zeros(1<<20), 1<<20)
}

func TestPatience(t *testing.T) { assert.Positive(t, Patience()) }

func TestSpec9(t *testing.T) {
	t.Run("9.1 the program adds", func(t *testing.T) {
		stdout, _, _ := harness.Run(t, harness.Build(t, "."), "")
		assert.Equal(t, "5\n", stdout)
	})
}
