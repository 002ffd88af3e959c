package zkdev_test

import (
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/zktest"
)

func TestSlowDisk(t *testing.T) {
	const delay = time.Second
	s := zktest.Start(t, "forceSync=yes")
	c := zktest.Connect(t, s.Addr())
	create := func(path string) time.Duration {
		begin := time.Now()
		_, err := c.Create(path, nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		return time.Since(begin)
	}
	create("/before")
	heal, err := s.SlowDisk(delay)
	require.NoError(t, err)
	defer heal()
	assert.GreaterOrEqual(t, create("/slow"), delay)
	assert.GreaterOrEqual(t, create("/slow too"), delay)
	begin := time.Now()
	assert.True(t, c.Exists(t, "/slow"))
	assert.Less(t, time.Since(begin), delay, "reading needs no disk")

	heal()
	heal()
	begin = time.Now()
	for time.Since(begin) < soon {
		if create("/after-"+time.Now().Format("05.000")) < delay {
			break
		}
	}
	assert.Less(t, time.Since(begin), soon)

	heal, err = s.SlowDisk(time.Hour)
	require.NoError(t, err)
	go func() { _, _ = c.Create("/never", nil, 0, zk.WorldACL(zk.PermAll)) }()
	s.Kill()
	heal()
	require.NoError(t, s.Restart())
	assert.True(t, zktest.Connect(t, s.Addr()).Exists(t, "/slow"))
}
