// Package network has nothing but a test: it runs final's servers and clients
// with a ZooKeeper of three members on a network that breaks. Run it with make
// net, and watch.
package network
