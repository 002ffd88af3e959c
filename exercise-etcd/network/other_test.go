// Package network runs the server and the client of package rpc with an etcd of
// three members on a network that breaks. Run it with make net-etcd, and watch.

//go:build !linux

package network

import (
	"testing"

	"example.com/rpcworkbook/internal/netlab"
)

func TestNet(t *testing.T) { t.Fatalf("make net-etcd can't run here: %s", netlab.Missing()) }
