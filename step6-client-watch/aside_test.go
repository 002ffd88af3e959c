// A server that is set aside, and whose time is over.

package main

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOneCallTriesAServerWhoseTimeIsOver(t *testing.T) {
	r := &remote{}
	r.blame()
	assert.False(t, r.claim(), "while it is set aside")

	r.avoidUntil.Store(clock() - 1)
	var claims atomic.Int32
	var callers sync.WaitGroup
	for range 100 {
		callers.Go(func() {
			if r.claim() {
				claims.Add(1)
			}
		})
	}
	callers.Wait()
	assert.EqualValues(t, 1, claims.Load(), "calls that may try it")
}
