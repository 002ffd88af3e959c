// Package nettest plays servers, clients and a registry of three members, such
// as ZooKeeper's or etcd's, on a network of netlab that breaks in every way it
// can, and holds them to what they promise. make net runs it.
//
// backend.go says what a registry has to bring; plan.go deals the faults, which
// follow from a seed; faults.go causes them; run.go is the run itself, and
// change.go what it does to the network; settle.go waits until all is well
// again; judge.go decides which failed calls were promised to succeed, and
// which servers must be registered; client.go is the program that calls.
package nettest
