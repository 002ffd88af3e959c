package harness

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startPi starts a server that needs so much time for each term of pi, and
// accepts so many of them.
func startPi(t *testing.T, term time.Duration, most int) *Server {
	t.Helper()
	stub := StartStub(t, "", func(conn net.Conn, body []byte) error {
		var request struct{ Params int }
		if err := json.Unmarshal(body, &request); err != nil {
			return err
		}
		answer := `{"out":"pi_r","result":3.1}`
		if request.Params > most {
			answer = `{"out":"error","result":"too many"}`
		}
		time.Sleep(time.Duration(request.Params) * term) // what the computation takes
		_, err := conn.Write(Frame(answer))
		return err
	})
	return &Server{Addr: stub.Addr}
}

func TestWorkFitsTheProgram(t *testing.T) {
	t.Run("slow", func(t *testing.T) {
		p, s := ServerProgram{Dir: t.Name()}, startPi(t, 200*time.Nanosecond, maxTerms)
		n := p.Terms(t, s, time.Second)
		assert.Greater(t, n, 20_000) // much less than five million where others keep the machine busy
		assert.LessOrEqual(t, n, 5_000_000)
		work := p.Work(t, s, time.Second)
		assert.Equal(t, 2, work.Calls)
		assert.Equal(t, 2*len(Frame(Request("pi", n/2))), len(work.Frames))
	})
	t.Run("slow in everything", func(t *testing.T) {
		p, s := ServerProgram{Dir: t.Name()}, startPi(t, 20*time.Microsecond, maxTerms)
		work := p.Work(t, s, 100*time.Millisecond)
		c := s.Dial(t)
		begin := time.Now()
		c.Send(work.Frames)
		c.WantDone(work)
		assert.Less(t, time.Since(begin), time.Second)
	})
	t.Run("fast", func(t *testing.T) {
		p, s := ServerProgram{Dir: t.Name()}, startPi(t, 0, maxTerms)
		assert.Equal(t, maxTerms, p.Terms(t, s, time.Hour))
	})
	t.Run("accepts little", func(t *testing.T) {
		p, s := ServerProgram{Dir: t.Name()}, startPi(t, time.Nanosecond, EveryonesPi)
		assert.Equal(t, EveryonesPi, p.Terms(t, s, time.Hour))
		work := p.Work(t, s, time.Second)
		assert.Greater(t, work.Calls, 100)
		assert.Len(t, work.Frames, work.Calls*len(Frame(Request("pi", EveryonesPi))))
	})
	t.Run("accepts too little", func(t *testing.T) {
		failed, log := record(t, func(r testing.TB) {
			p := ServerProgram{Dir: t.Name()}
			p.Terms(r, startPi(t, 0, EveryonesPi-1), time.Second)
		})
		require.True(t, failed)
		assert.Contains(t, log, fmt.Sprintf("expected  pi of %d", EveryonesPi))
	})
}
