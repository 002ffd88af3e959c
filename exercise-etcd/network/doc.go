// Package network has nothing but a test: it runs the server and the client of
// package rpc with an etcd of three members on a network that breaks. Run it
// with make net-etcd, and watch.
package network
