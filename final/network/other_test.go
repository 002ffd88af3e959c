// What make net says where it can't run.

//go:build !linux

package network

import (
	"testing"

	"example.com/rpcworkbook/internal/netlab"
)

func TestNet(t *testing.T) { t.Fatalf("make net can't run here: %s", netlab.Missing()) }
