// Fuzzing of znode data: whatever a stranger wrote into a znode, the client
// either refuses it or gets an address that it can dial.

package main

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzParseEndpoint: any data is an error or an address of a host and a port.
func FuzzParseEndpoint(f *testing.F) {
	for _, data := range []string{
		`{"host":"127.0.0.1","port":8080}`, `{"port": 1, "host": "server.example"}`, `{"host":"::1","port":65535}`,
		`{"host":"fe80::1%eth0","port":80}`, `{"host":"[::1]","port":80}`, `{"host":"h:80","port":80}`,
		`{"host":"h]","port":80}`,
		`{"host":"a\u0000b","port":80}`, "{\"host\":\"\xff\",\"port\":80}", `{"HOST":"h","Port":80}`,
		`{"host":"h","port":80,"host":""}`,
		`{"host":"","port":80}`, `{"host":"h","port":0}`, `{"host":"h","port":65536}`, `{"host":"h","port":-1}`,
		`{"host":"h","port":1e2}`,
		`{"host":"h","port":"80"}`, `{"host":["h"],"port":80}`, `{"host":"h"}`, `{}`, `null`, `[]`, `8080`, ``,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		addr, err := ParseEndpoint(data)
		if err != nil {
			require.Empty(t, addr)
			require.NotEmpty(t, err.Error())
			return
		}

		host, port, err := net.SplitHostPort(addr)
		require.NoError(t, err, "address %q", addr)
		assert.NotEmpty(t, host)

		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		assert.Equal(t, strconv.Itoa(number), port)
		assert.Positive(t, number)
		assert.LessOrEqual(t, number, 65535)
	})
}

// FuzzRegisteredEndpoint: what a server registers under the host that it was
// told to advertise is what its clients read.
func FuzzRegisteredEndpoint(f *testing.F) {
	for _, host := range []string{
		"127.0.0.1", "::1", "localhost", "server.example", "fe80::1%eth0", "ä.example", "[::1]", "h:80", "h]", "a b",
		`"\`, "<&>", "\xff", "\x00", "0.0.0.0", "",
	} {
		f.Add(host, uint16(8080))
	}
	f.Fuzz(func(t *testing.T, advertise string, port uint16) {
		host, err := RegisterableHost(advertise, "0.0.0.0")
		if err != nil || port == 0 {
			return // the server says so and ends; and no server has port 0
		}
		data, err := encode(Endpoint{Host: host, Port: int(port)}) // as NewRegistrar does
		require.NoError(t, err)
		addr, err := ParseEndpoint(data)
		require.NoError(t, err, "%s", data)
		assert.Equal(t, net.JoinHostPort(advertise, strconv.Itoa(int(port))), addr)
	})
}
