//go:build !linux

package netlab

import "testing"

func TestNet(t *testing.T) { t.Fatalf("make net can't run here: %s", Missing()) }
