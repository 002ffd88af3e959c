// Tests of addresses: which are refused, and with what words.

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSplitAddrs(t *testing.T) {
	for text, want := range map[string][]string{
		"127.0.0.1:2181":                {"127.0.0.1:2181"},
		"a:1, b:65535\t,\n[::1]:2181\n": {"a:1", "b:65535", "[::1]:2181"},
		"[fe80::1%eth0]:2181,ä:1":       {"[fe80::1%eth0]:2181", "ä:1"},
	} {
		addrs, err := SplitAddrs(text)
		require.NoError(t, err)
		require.Equal(t, want, addrs)
	}
	for text, why := range map[string]string{
		"":                "missing port",
		"h":               "missing port",
		"h:":              "1 to 65535",
		"h:zk":            "1 to 65535",
		"h:0":             "1 to 65535",
		"h:99999":         "1 to 65535",
		"h:-1":            "1 to 65535",
		"::1:2181":        "too many colons",
		":2181":           "host is missing",
		"h:2181,":         `"" must be host:port`,
		"h:2181/app":      "-root",
		"zk://h:2181":     "-root",
		"a b:2181":        "no host",
		"a\x1b[2J:2181":   `"a\x1b[2J:2181" must be`,
		"h1:2181;h2:2181": "too many colons",
	} {
		_, err := SplitAddrs(text)
		require.ErrorContains(t, err, why, "%q", text)
	}
}

func TestRegisterableHost(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "localhost", "10.0.0.1", "server.example", "1::"} {
		got, err := RegisterableHost("", host)
		require.NoError(t, err)
		assert.Equal(t, host, got)
	}

	for _, host := range []string{
		"0.0.0.0", "::", "0", "0:0:0:0:0:0:0:0", "", "::ffff:0.0.0.0", "::ffff:0:0", "0:0:0:0:0:ffff::", "::%lo",
		"::ffff:0.0.0.0%lo",
	} {
		_, err := RegisterableHost("", host)
		require.ErrorContains(t, err, "-advertise", host)
		got, err := RegisterableHost("server.example", host)
		require.NoError(t, err)
		assert.Equal(t, "server.example", got)
		_, err = RegisterableHost(host, "127.0.0.1")
		assert.Equal(t, host == "", err == nil, "advertised: %q", host)
	}
}

func TestAdvertise(t *testing.T) {
	for _, host := range []string{"[::1]", "h:80", "h/", "a b", "h\n", "\x1b[2J", "\xff"} {
		_, err := RegisterableHost(host, "127.0.0.1")
		assert.ErrorContains(t, err, "-advertise", "%q", host)
	}
}
