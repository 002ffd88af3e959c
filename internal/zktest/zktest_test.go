package zktest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKilledUntilTheTestEnds(t *testing.T) {
	s := Start(t)
	t.Run("ends early", func(t *testing.T) {
		Kill(t, s)
		_, err := s.Mode()
		require.Error(t, err)
	})
	mode, err := s.Mode()
	require.NoError(t, err)
	assert.Equal(t, "standalone", mode)

	var pid int
	t.Run("restarts it itself", func(t *testing.T) {
		Kill(t, s)
		require.NoError(t, s.Restart())
		pid = s.PID()
	})
	assert.Equal(t, pid, s.PID(), "not once more")
}
