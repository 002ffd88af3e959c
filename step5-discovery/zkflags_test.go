// Tests of the flags of everything that talks to ZooKeeper.

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckRoot(t *testing.T) {
	for _, root := range []string{"/demo", "/a/b/c", "/a.b", "/.a", "/a..", "/ä"} {
		assert.NoError(t, CheckRoot(root))
	}
	for _, root := range []string{"", "/", "demo", "/demo/", "//demo", "/a//b", "/a/./b", "/a/../b", "/.", "/.."} {
		assert.Error(t, CheckRoot(root), root)
	}
}
