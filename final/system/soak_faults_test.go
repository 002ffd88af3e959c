// The faults of a soak: what happens to a server, to ZooKeeper and to what
// connects them.

//go:build unix

package system

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zktest"
)

// soakSession is everybody's session timeout. Some faults last longer.
const soakSession = 3 * time.Second

const ms = time.Millisecond

// kinds is the table of faults. It is filled before any test runs, not where
// it is declared: the functions use what uses the table.
var kinds []*kind

func init() {
	kinds = []*kind{
		// To a server's processes. What hangs may do so for longer than a call.
		{name: "server stopped", says: "SIGTERM to {who}, which starts again after {for}",
			class: onServer, shortest: 300 * ms, longest: 3000 * ms, begin: stopServer},
		{name: "master killed", says: "SIGKILL to {who}'s master; {who} starts again after {for}",
			class: onServer, shortest: 100 * ms, longest: 4000 * ms, begin: killMaster},
		{name: "server killed", says: "SIGKILL to all of {who}, which starts again after {for}",
			class: onServer, shortest: 100 * ms, longest: 4000 * ms, begin: killServer},
		{name: "server killed, back at once", says: "SIGKILL to all of {who}, which starts again at once",
			class: onServer, begin: killServer},
		{name: "workers killed", says: "SIGKILL to {n} of {who}'s workers",
			class: onServer, least: 1, most: soakWorkers, begin: killWorkers},
		{name: "worker frozen", says: "SIGSTOP to {who}'s worker {n}, for {for}",
			class: onServer, shortest: 500 * ms, longest: 7000 * ms, least: 1, most: soakWorkers, begin: freezeWorker},
		{name: "master frozen", says: "SIGSTOP to {who}'s master, for {for}",
			class: onServer, shortest: 500 * ms, longest: 5000 * ms, begin: freezeMaster},
		{name: "server frozen", says: "SIGSTOP to all of {who}, for {for}",
			class: onServer, shortest: 500 * ms, longest: 7000 * ms, begin: freezeServer},

		// Between a server and ZooKeeper.
		{name: "server's session expired", says: "{who}'s session expires",
			class: onServer, asksZooKeeper: true, begin: expireServer},
		{name: "create's reply lost",
			says:  "{who}'s session expires, and ZooKeeper's replies to {who} get lost for {for}",
			class: onServer, asksZooKeeper: true, shortest: 200 * ms, longest: 2000 * ms, begin: loseReplies},
		{name: "server parted from ZooKeeper", says: "no word between {who} and ZooKeeper for {for}",
			class: onServer, shortest: 500 * ms, longest: 5000 * ms, begin: partServer},
		{name: "server refused by ZooKeeper", says: "{who} can't connect to ZooKeeper for {for}",
			class: onServer, shortest: 500 * ms, longest: 5000 * ms, begin: refuseServer},

		// Between the clients and a server.
		{name: "link reset", says: "connections to {who} are reset",
			class: onServer, begin: func(s *soak, f fault) func() { s.servers[f.server].link.Reset(); return nil }},
		{name: "link cut", says: "connections to {who} are cut",
			class: onServer, begin: func(s *soak, f fault) func() { s.servers[f.server].link.Cut(); return nil }},
		{name: "link refused", says: "connections to {who} are reset, and refused for {for}",
			class: onServer, shortest: 300 * ms, longest: 3000 * ms, begin: refuseLink},
		{name: "link black-holed", says: "what is sent to {who} doesn't arrive for {for}",
			class: onServer, shortest: 500 * ms, longest: 7000 * ms, begin: holdLink(netproxy.ToServer)},
		{name: "replies black-holed", says: "what {who} replies doesn't arrive for {for}",
			class: onServer, shortest: 500 * ms, longest: 7000 * ms, begin: holdLink(netproxy.ToClient)},
		{name: "link slow", says: "{n} ms to {who} and {n} ms back, for {for}",
			class: onServer, shortest: 1000 * ms, longest: 4000 * ms, least: 10, most: 50, begin: slowLink},
		{name: "link narrow", says: "{n} kB a second to {who} and back, for {for}",
			class: onServer, shortest: 1000 * ms, longest: 5000 * ms, least: 20, most: 500, begin: narrowLink},

		// To a server's speed.
		{name: "server slow", says: "{who} has {n} % of its time, for {for}",
			class: onServer, shortest: 1000 * ms, longest: 6000 * ms, least: 2, most: 30, begin: slowServer},
		{name: "overload", says: "{n} strangers have {who} compute the longest there is, for {for}",
			class: onServer, shortest: 1000 * ms, longest: 4000 * ms, least: 2, most: 6, begin: invite(compute)},

		// To ZooKeeper, and between it and the clients.
		{name: "ZooKeeper paused", says: "ZooKeeper pauses for {for}",
			class: onRegistry, stopsZooKeeper: true, shortest: 300 * ms, longest: 1200 * ms, begin: pauseZooKeeper},
		{name: "ZooKeeper killed", says: "SIGKILL to ZooKeeper, which starts again after {for}",
			class: onRegistry, stopsZooKeeper: true, shortest: 0, longest: 2000 * ms, begin: killZooKeeper},
		{name: "clients parted from ZooKeeper", says: "no word between the clients and ZooKeeper for {for}",
			class: onRegistry, shortest: 500 * ms, longest: 5000 * ms, begin: partClients},
		{name: "clients' sessions expired", says: "the clients' sessions expire",
			class: onRegistry, asksZooKeeper: true, begin: expireClients},
		{name: "clients' way to ZooKeeper slow",
			says:  "{n} ms from the clients to ZooKeeper and {n} ms back, for {for}",
			class: onRegistry, shortest: 1000 * ms, longest: 4000 * ms, least: 50, most: 250, begin: slowClients},
		{name: "servers that aren't there",
			says:  "{n} servers register and leave after {for}; nobody listens at their addresses",
			class: onRegistry, shortest: 500 * ms, longest: 3000 * ms, least: 3, most: 10, begin: registerNobody},

		// To everybody's session.
		{name: "ZooKeeper paused for long", says: "ZooKeeper pauses for {for}, and every session expires",
			class: outage, shortest: soakSession + 1000*ms, longest: soakSession + 2500*ms, begin: pauseZooKeeper},
		{name: "ZooKeeper wiped", says: "ZooKeeper loses its data",
			class: outage, begin: func(s *soak, _ fault) func() {
				require.NoError(s.t, s.zookeeper.Wipe())
				return nil
			}},
		{name: "all sessions expired", says: "the sessions of all servers and clients expire",
			class: outage, begin: expireAll},

		// At a server's door.
		{name: "slow readers", says: "{n} clients of {who} send and don't read, for {for}",
			class: guests, shortest: 1000 * ms, longest: 4000 * ms, least: 3, most: 20, begin: invite(readNothing)},
		{name: "half frames", says: "{n} clients of {who} send half a frame, for {for}",
			class: guests, shortest: 1000 * ms, longest: 4000 * ms, least: 50, most: 200, begin: invite(sendHalf)},
		{name: "rubbish", says: "{n} clients of {who} send rubbish, for {for}",
			class: guests, shortest: 1000 * ms, longest: 4000 * ms, least: 3, most: 10, begin: invite(sendRubbish)},
		{name: "flood", says: "{n} clients flood {who} with calls, for {for}",
			class: guests, shortest: 500 * ms, longest: 2000 * ms, least: 2, most: 3, begin: invite(flood)},
	}
}

// restart starts a server again when it has ended and nothing of it is left.
func (s *soak) restart(v *soakServer) func() {
	return func() {
		v.Wait(patience)
		harness.Eventually(s.t, patience, "the rest of "+v.name+" gone", func() (bool, string) {
			return len(v.Processes(s.t)) == 0, v.Tree()
		})
		v.Dismiss()
		v.Server = v.Restart(s.t)
	}
}

func stopServer(s *soak, f fault) func() {
	v := s.servers[f.server]
	v.Signal(syscall.SIGTERM)
	return func() {
		assert.Zero(s.t, v.Wait(patience), "exit code of %s, which was told to stop\n%s", v.name, v.Stderr())
		s.restart(v)()
	}
}

func killMaster(s *soak, f fault) func() {
	v := s.servers[f.server]
	v.SignalEach(syscall.SIGKILL, v.PID)
	return s.restart(v)
}

func killServer(s *soak, f fault) func() {
	v := s.servers[f.server]
	v.Kill()
	return s.restart(v)
}

func killWorkers(s *soak, f fault) func() {
	v := s.servers[f.server]
	v.SignalEach(syscall.SIGKILL, v.Workers(s.t)[:f.n]...)
	return nil
}

// freeze stops processes of a server until the end of the fault.
func freeze(v *soakServer, pids ...int) func() {
	v.Freeze(pids...)
	return func() { v.SignalEach(syscall.SIGCONT, pids...) }
}

func freezeWorker(s *soak, f fault) func() {
	v := s.servers[f.server]
	return freeze(v, v.Workers(s.t)[f.n-1])
}

func freezeMaster(s *soak, f fault) func() {
	v := s.servers[f.server]
	return freeze(v, v.PID)
}

func freezeServer(s *soak, f fault) func() {
	v := s.servers[f.server]
	return freeze(v, v.Processes(s.t)...)
}

// heal ends the faults of a proxy.
func (s *soak) heal(p *netproxy.Proxy) func() {
	return func() { require.NoError(s.t, p.Heal()) }
}

func expireServer(s *soak, f fault) func() {
	require.NoError(s.t, s.servers[f.server].gate.Expire())
	return nil
}

func loseReplies(s *soak, f fault) func() {
	gate := s.servers[f.server].gate
	require.NoError(s.t, gate.Expire())
	gate.DropReplies()
	return s.heal(gate.Proxy)
}

func partServer(s *soak, f fault) func() {
	gate := s.servers[f.server].gate
	gate.Partition(netproxy.Both)
	return s.heal(gate.Proxy)
}

func refuseServer(s *soak, f fault) func() {
	gate := s.servers[f.server].gate
	gate.Refuse()
	gate.Reset()
	return s.heal(gate.Proxy)
}

func refuseLink(s *soak, f fault) func() {
	link := s.servers[f.server].link
	link.Refuse()
	link.Reset()
	return s.heal(link)
}

func holdLink(way netproxy.Direction) func(*soak, fault) func() {
	return func(s *soak, f fault) func() {
		link := s.servers[f.server].link
		link.Partition(way)
		return s.heal(link)
	}
}

func slowLink(s *soak, f fault) func() {
	link := s.servers[f.server].link
	link.Delay(time.Duration(f.n) * ms)
	return s.heal(link)
}

func narrowLink(s *soak, f fault) func() {
	link := s.servers[f.server].link
	link.Bandwidth(f.n * 1000)
	return s.heal(link)
}

func slowServer(s *soak, f fault) func() {
	return loadThrottle(s.t, s.servers[f.server].Server, float64(f.n)/100)
}

func pauseZooKeeper(s *soak, _ fault) func() {
	s.zookeeper.Pause()
	return s.zookeeper.Resume
}

func killZooKeeper(s *soak, _ fault) func() {
	s.zookeeper.Kill()
	return func() { require.NoError(s.t, s.zookeeper.Restart()) }
}

func partClients(s *soak, _ fault) func() {
	s.gate.Partition(netproxy.Both)
	return s.heal(s.gate.Proxy)
}

func slowClients(s *soak, f fault) func() {
	s.gate.Delay(time.Duration(f.n) * ms)
	return s.heal(s.gate.Proxy)
}

func expireClients(s *soak, _ fault) func() {
	require.NoError(s.t, s.gate.Expire())
	return nil
}

func expireAll(s *soak, _ fault) func() {
	gates := []*zktest.Gate{s.gate}
	for _, v := range s.servers {
		gates = append(gates, v.gate)
	}
	var wait sync.WaitGroup
	for _, gate := range gates {
		wait.Go(func() { assert.NoError(s.t, gate.Expire()) })
	}
	wait.Wait()
	return nil
}

// registerNobody registers addresses where every connection is refused.
func registerNobody(s *soak, f fault) func() {
	registrars := make([]*rpc.Registrar, f.n)
	for i := range registrars {
		session, err := rpc.NewSession(s.zookeeper.Addr(), soakSession)
		require.NoError(s.t, err)
		registrars[i] = rpc.NewRegistrar(session, s.registry.Root, rpc.Endpoint{Host: "127.0.0.1", Port: 1 + i})
		registrars[i].SetServing(true)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var wait sync.WaitGroup
		for _, r := range registrars {
			wait.Go(func() { r.Close(ctx) })
		}
		wait.Wait()
	}
}
