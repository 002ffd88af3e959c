// Tests of what the gate reads of ZooKeeper's answers. That it expires sessions
// is tested in zktest, with a real ZooKeeper.

package zkgate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenedAnswer(t *testing.T) {
	whole := []byte{
		0, 0, 0, 24 + 1, // length
		0, 0, 0, 0, // protocol version
		0, 0, 0x17, 0x70, // timeout
		1, 2, 3, 4, 5, 6, 7, 8, // session id
		0, 0, 0, 4, 'p', 'a', 's', 's',
		0, // read-only
	}

	learnt := func(chunks ...[]byte) *Gate {
		g := &Gate{}
		l := &sniffer{gate: g}
		for _, chunk := range chunks {
			n, err := l.Write(chunk)
			require.NoError(t, err)
			require.Equal(t, len(chunk), n)
		}
		return g
	}

	for cut := range whole {
		g := learnt(whole[:cut], whole[cut:], []byte("what follows"))
		require.Len(t, g.sessions, 1, "cut at %d", cut)
		assert.EqualValues(t, 0x0102030405060708, g.sessions[0].id)
		assert.Equal(t, "pass", string(g.sessions[0].password))
	}
	assert.Empty(t, learnt(whole[:20]).sessions, "not whole")

	expired := append([]byte(nil), whole...)
	copy(expired[12:], make([]byte, 8))
	assert.Empty(t, learnt(expired).sessions, "session id 0 says that the session has expired")

	lying := append([]byte(nil), whole...)
	lying[23] = 100
	assert.Empty(t, learnt(lying).sessions, "a password longer than its message")

	assert.Empty(t, learnt([]byte{0, 0, 0, 3, 1, 2, 3}).sessions, "too short")
}
