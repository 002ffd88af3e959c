// Package network runs final's servers and clients with a ZooKeeper of three
// members on a network that breaks. Run it with make net, and watch.

//go:build !linux

package network

import (
	"testing"

	"example.com/rpcworkbook/internal/netlab"
)

func TestNet(t *testing.T) { t.Fatalf("make net can't run here: %s", netlab.Missing()) }
