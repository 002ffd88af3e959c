//go:build !linux

package netlab

import "runtime"

// Missing says what this machine lacks for a Lab, in words for its user; "" if
// nothing.
func Missing() string {
	return "it needs Linux, for network namespaces and TUN devices, and this is " + runtime.GOOS
}
