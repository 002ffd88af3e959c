// Tests of how programs are found, and of what is read of ZooKeeper's sessions.

package play

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/play/load"
	"example.com/rpcworkbook/internal/zklook"
)

func TestCommand(t *testing.T) {
	r, err := find(t.Context(), Config{Chapter: 4, Book: "/book", Program: "python3 server.py {host} {port} {workers}"})
	require.NoError(t, err)
	assert.False(t, r.zookeeper)
	assert.Nil(t, r.client)
	cmd := r.server("127.0.0.1", "8080", "")
	assert.Equal(t, []string{"/bin/sh", "-c", "exec python3 server.py 127.0.0.1 8080 2"}, cmd.Args)
	assert.Equal(t, "/book", cmd.Dir)
	assert.Equal(t, "python3 server.py 127.0.0.1 8080 2", spoken(cmd))

	r, err = find(t.Context(), Config{Program: "server -zk {zk} -root {root} {host} {port}"})
	require.NoError(t, err)
	assert.True(t, r.zookeeper)
	assert.Equal(t, "server -zk 127.0.0.1:2181 -root /demo h 1", spoken(r.server("h", "1", "127.0.0.1:2181")))
}

func TestCommandThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		config Config
		says   string
	}{
		{Config{Chapter: 3, Program: "server {port}"}, "must contain {host}"},
		{Config{Chapter: 5, Program: "server {host} {port}"}, "must contain {zk} in chapter 5"},
		{Config{Chapter: 3, Program: "server {host} {port} {color}"}, "unknown placeholder"},
		{Config{Chapter: 3, Book: t.TempDir()}, "there is no _mine yet"},
	} {
		_, err := find(t.Context(), c.config)
		assert.ErrorContains(t, err, c.says)
	}
}

// A session's time begins anew with each request that ZooKeeper has counted.
func TestSessions(t *testing.T) {
	z := &zoo{sessions: map[int64]*heard{}}
	line := func(received string) string {
		return " /127.0.0.1:4[1](queued=0,recved=" + received + ",sent=6,sid=0x1000254cf150000,lop=PING," +
			"est=1796110186212,to=6000,lcxid=0x4)\n /127.0.0.1:5[0](queued=0,recved=1,sent=0)\n"
	}
	z.hear(line("6"), 0)
	require.Len(t, z.sessions, 1)
	s := z.sessions[0x1000254cf150000]
	assert.Equal(t, 6*time.Second, s.timeout)
	assert.True(t, s.connected)

	first := s.last
	z.hear(line("6"), 0)
	assert.Equal(t, first, s.last, "nothing was heard")
	z.hear(line("7"), 0)
	assert.True(t, s.last.After(first))

	z.nodes = []zklook.Node{{Name: "rpc0000000000", Session: 0x1000254cf150000}}
	s.last = time.Now().Add(-time.Minute)
	z.hear("", 0)
	assert.False(t, s.connected)
	assert.Len(t, z.sessions, 1, "it owns a znode")

	z.restarted(true)
	assert.WithinDuration(t, time.Now(), s.last, 10*time.Second, "ZooKeeper gives it its whole timeout anew")
	z.restarted(false)
	assert.Empty(t, z.sessions, "none outlives the data")

	z.hear(line("1"), 0)
	z.sessions[0x1000254cf150000].last = time.Now().Add(-time.Minute)
	z.nodes = nil
	z.hear("", 0)
	assert.Empty(t, z.sessions)

	z.hear(line("1"), 0x1000254cf150000)
	assert.Empty(t, z.sessions, "the page's own")
}

func TestFailuresAreToldOnce(t *testing.T) {
	j := newJournal()
	tally := newTally(j)
	failed := map[string]int{"127.0.0.1:1": 2}
	tally.add(loadReport(failed, "refused"))
	tally.add(loadReport(failed, "refused again"))
	calls, lost := tally.totals()
	assert.Equal(t, 4, calls)
	assert.Equal(t, 4, lost)
	entries := j.look(0).entries
	require.Len(t, entries, 1)
	assert.Equal(t, "a call failed: refused", entries[0].Text)

	tally.lastFail = time.Now().Add(-quietAfter - time.Second)
	tally.add(loadReport(nil, ""))
	entries = j.look(entries[0].ID).entries
	require.Len(t, entries, 1)
	assert.Equal(t, "no call has failed for 2s, after 4 that did", entries[0].Text)
}

// loadReport is a report of calls that failed.
func loadReport(failed map[string]int, trouble string) load.Report {
	return load.Report{Failed: failed, Trouble: trouble}
}
