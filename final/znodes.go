// What servers and clients share: what is in a server's znode.

package rpc

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
)

// An Endpoint is where a server can be called: the data of its znode.
type Endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// ParseEndpoint returns the address, "host:port", in a znode's data. The error
// says why nobody could dial what is there.
func ParseEndpoint(data []byte) (addr string, err error) {
	var e Endpoint
	if err := json.Unmarshal(data, &e); err != nil {
		return "", fmt.Errorf("not an endpoint: %w", err)
	}
	if !isHost(e.Host) || e.Port < 1 || e.Port > 65535 {
		return "", fmt.Errorf("not an endpoint: host %q, port %d", e.Host, e.Port)
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)), nil
}
