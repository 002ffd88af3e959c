// Addresses: what a text must be like to be one, and which of them clients can
// call.

package rpc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SplitAddrs returns the addresses in "host:port,host:port", without the space
// around them, or an error that says which one can't be right, and why.
func SplitAddrs(text string) (addrs []string, err error) {
	for addr := range strings.SplitSeq(text, ",") {
		addr = strings.TrimSpace(addr)
		if err := checkAddr(addr); err != nil {
			return nil, fmt.Errorf("address %q must be host:port: %w", addr, err)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// checkAddr returns why addr can't be "host:port", nil if it can.
func checkAddr(addr string) error {
	if strings.Contains(addr, "/") {
		return errors.New("what comes after a slash belongs to -root")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}

	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case host == "":
		return errors.New("the host is missing")
	case err != nil || number == 0:
		return errors.New("a port is a number from 1 to 65535")
	case !isHost(host):
		return errors.New("no host has such a name")
	}
	return nil
}

// isHost reports whether text can be the name or address of a host. A text that
// moves a cursor or begins a new line can't: a host does no harm where it is
// shown.
func isHost(text string) bool {
	bad := func(r rune) bool { return r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) }
	return text != "" && !strings.ContainsAny(text, "[]/") && !strings.ContainsFunc(text, bad)
}

// RegisterableHost returns the host that clients are to call: advertise if
// given, otherwise the host that the server listens on. The error says what to
// do with -advertise.
func RegisterableHost(advertise, host string) (string, error) {
	if advertise != "" {
		host = advertise
		isAddrAndPort := strings.Contains(host, ":") && net.ParseIP(host) == nil
		if !isHost(host) || isAddrAndPort {
			return "", fmt.Errorf("-advertise %q must be a name or an address, without brackets or port", advertise)
		}
	}
	if isUnspecified(host) {
		return "", fmt.Errorf("clients can't call %q: "+
			"say with -advertise under which name or address they reach this server", host)
	}
	return host, nil
}

// isUnspecified reports whether host means all addresses of its machine,
// however that is written: 0.0.0.0, ::, 0, ::ffff:0.0.0.0.
func isUnspecified(host string) bool {
	if strings.Trim(host, "0.:") == "" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.WithZone("").Unmap().IsUnspecified()
}
