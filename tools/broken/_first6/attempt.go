// One call at one server, and what becomes of it.

package main

type attempt struct {
	frame    []byte
	outcomes chan<- outcome
}

type outcome struct {
	reply Reply
	err   error
}
