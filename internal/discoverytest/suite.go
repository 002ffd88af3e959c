// What must hold in good days.

package discoverytest

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
)

// Run runs the suite.
func (b Backend) Run(t *testing.T) {
	store := b.Start(t)
	addr := store.Addr()

	t.Run("registered while it serves, and only then", func(t *testing.T) {
		s := b.stage(t, store)
		s.session = time.Minute // nothing goes by itself while we wait
		v := s.server(addr, 1001)
		client := s.watch(addr)
		client.wait(false) // an empty list, and not even a root, is an answer

		for range 2 {
			v.SetServing(true)
			s.waitEntries(v.addr)
			client.wait(false, v.addr)
			v.SetServing(false)
			s.waitNone(soon)
			client.wait(false)
		}
	})

	t.Run("what is registered is an endpoint as every client reads it", func(t *testing.T) {
		s := b.stage(t, store)
		s.serving(addr, 1002)
		entries, err := store.Entries(s.t, s.root)
		s.must(err)
		want := `{"host":"127.0.0.1","port":1002}`
		harness.Check(t, len(entries) == 1 && entries[0].Data == want, want, "%v", entries)
	})

	t.Run("closed it is gone for good, and says what it was", func(t *testing.T) {
		s := b.stage(t, store)
		never, v := s.server(addr, 1003), s.serving(addr, 1004)
		_, was := never.close()
		harness.Check(t, !was, "false of one that was never registered", "%t", was)
		_, was = v.close()
		harness.Check(t, was, "true of one that was", "%t", was)

		entries, err := store.Entries(s.t, s.root)
		s.must(err)
		harness.Check(t, len(entries) == 0, "no registration when Close has returned", "%v", entries)

		v.SetServing(true)
		other := s.serving(addr, 1005) // and nobody else meanwhile
		names := s.waitEntries(other.addr)
		entries, err = store.Entries(s.t, s.root)
		harness.Check(t, err == nil && len(entries) == len(names), "only the other server", "%v %v", entries, err)
	})

	t.Run("a stop right after the start leaves nothing", func(t *testing.T) {
		s := b.stage(t, store)
		for port := range 20 {
			v := s.server(addr, 1100+port)
			v.SetServing(true)
			time.Sleep(time.Duration(port) * time.Millisecond) // in all stages of it
			v.close()
		}
		s.waitNone(expired)
	})

	t.Run("servers that come and go are found and forgotten", func(t *testing.T) {
		s := b.stage(t, store)
		client := s.watch(addr)
		one, two := s.serving(addr, 1006), s.serving(addr, 1007)
		client.wait(false, one.addr, two.addr)
		late := s.watch(addr)
		late.wait(false, one.addr, two.addr)

		one.close()
		for _, c := range []*view{client, late} {
			c.wait(false, two.addr)
		}

		snapshots, _ := late.all(0)
		lists := slices.CompactFunc(snapshots, func(a, b rpc.Snapshot) bool {
			return slices.Equal(a.Servers, b.Servers)
		})
		harness.Check(t, len(lists) == 2, "a list with both and one without the one that left", "%v", snapshots)
	})

	t.Run("two registrations of one address are one server, until both are gone", func(t *testing.T) {
		s := b.stage(t, store)
		client := s.watch(addr)
		old := s.serving(addr, 1008)
		again := s.server(addr, 1008)
		again.SetServing(true)
		harness.Eventually(t, soon, "two registrations", func() (bool, string) {
			entries, err := store.Entries(s.t, s.root)
			return len(entries) == 2, fmt.Sprint(entries, err)
		})

		client.wait(false, old.addr)
		old.close()
		sign := s.serving(addr, 1009) // seen after whatever the other did
		client.wait(false, again.addr, sign.addr)

		snapshots, _ := client.all(0)
		has := func(s rpc.Snapshot) bool { return slices.Contains(s.Servers, again.addr) }
		for _, seen := range snapshots[slices.IndexFunc(snapshots, has):] {
			harness.Check(t, has(seen), "the address in every snapshot since it was in one", "%v", snapshots)
		}

		again.close()
		client.wait(false, sign.addr)
	})

	t.Run("what is no endpoint is skipped", func(t *testing.T) {
		s := b.stage(t, store)
		v := s.serving(addr, 1010)
		for i, data := range []string{
			"", "gibberish", "[]", `{"port":80}`, `{"host":"a","port":0}`, `{"host":"a","port":"80"}`, "\xff\xfe",
		} {
			store.Plant(s.t, s.root, fmt.Sprintf("bad%d", i), data)
		}
		client := s.watch(addr)
		client.wait(false, v.addr)
		store.Plant(s.t, s.root, "good", `{"host":"127.0.0.1","port":1011}`)
		client.wait(false, v.addr, "127.0.0.1:1011")
		store.Remove(s.t, s.root, "good")
		client.wait(false, v.addr)
	})

	t.Run("in a burst of changes the last word counts", func(t *testing.T) {
		s := b.stage(t, store)
		client := s.watch(addr)
		var want []string
		var servers []*server
		for i := range 40 {
			servers = append(servers, s.server(addr, 1200+i))
			servers[i].SetServing(true)
			if i%3 == 0 {
				want = append(want, servers[i].addr)
			}
		}

		s.waitEntries(want...)
		for i, v := range servers {
			if i%3 != 0 {
				v.SetServing(false)
			}
		}
		client.wait(false, want...)

		for i, v := range servers {
			if i%3 != 0 {
				v.SetServing(true)
				v.SetServing(false)
			}
		}

		servers[1].SetServing(true) // what comes of all that is seen with this
		client.wait(false, append(want, servers[1].addr)...)
	})

	t.Run("a client makes its calls at what is found", func(t *testing.T) {
		s := b.stage(t, store)
		stub := harness.StartStub(t, "", answer)
		store.Plant(s.t, s.root, "stub", endpointOf(stub.Addr))
		client := rpc.NewClient(b.Discover(t, addr, s.root, Session))
		defer client.Close()
		s.must(client.Wait(t.Context(), 1))
		reply, server, err := client.Call(t.Context(), "ping", "hello")
		harness.Check(t, err == nil && server == stub.Addr && string(reply.Result) == `"hello"`,
			"the echo", "%v %s %v", reply, server, err)
	})

	t.Run("the end of a context ends the watching", func(t *testing.T) {
		s := b.stage(t, store)
		client := s.watch(addr)
		client.wait(false)
		took := client.close()
		harness.Check(t, took < 3*time.Second, "the end within 3s", "%v", took)
	})

	b.faults(t, store)
}

// answer answers a request.
func answer(conn net.Conn, body []byte) error {
	_, err := conn.Write(rpc.AppendFrame(nil, rpc.NewService().Answer(body).Append(nil)))
	return err
}

func endpointOf(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(port)
	data, _ := json.Marshal(rpc.Endpoint{Host: host, Port: number})
	return string(data)
}
