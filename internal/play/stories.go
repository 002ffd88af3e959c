// The stories: what each scenario does, and how one sees what came of it. The
// judgement is made of what was measured, never of what ought to happen: a
// program with a mistake makes another choice come true.

package play

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

var stories = []scenario{
	{
		ScenarioInfo: ScenarioInfo{"kill-worker", "One worker is killed",
			"A worker of server A is about to be killed with SIGKILL. What will server A be like two seconds later?",
			[]string{"It has as many workers as before.", "It has one worker fewer.", "It has ended."}},
		from: 3, run: func(p *Play, ctx context.Context) (int, string, error) { return p.killWorkers(ctx, 1) },
	},
	{
		ScenarioInfo: ScenarioInfo{"kill-workers", "All workers are killed at once",
			"All workers of server A are about to be killed, in the same instant. How many of them will be replaced?",
			[]string{"All of them.", "Some of them.", "None, because the server ends."}},
		from: 4, run: func(p *Play, ctx context.Context) (int, string, error) { return p.killWorkers(ctx, Workers) },
	},
	{
		ScenarioInfo: ScenarioInfo{"freeze-worker", "One worker is stopped",
			"One worker of server A is about to be stopped with SIGSTOP. What will happen to new connections?",
			[]string{"The other worker answers all of them.", "Some of them hang.", "They are refused."}},
		from: 3, run: func(p *Play, ctx context.Context) (int, string, error) { return p.freezeWorkers(ctx, 1, 8) },
	},
	{
		ScenarioInfo: ScenarioInfo{"freeze-workers", "All workers are stopped",
			"All workers of server A are about to be stopped with SIGSTOP; its master goes on. " +
				"What will happen to a new connection?",
			[]string{"The master answers it.", "It is made, and nobody answers.", "It is refused."}},
		from: 3, run: func(p *Play, ctx context.Context) (int, string, error) {
			return p.freezeWorkers(ctx, Workers, 1)
		},
	},
	{
		ScenarioInfo: ScenarioInfo{"kill-master", "The master is killed",
			"The master of server A is about to be killed with SIGKILL. It can't tell its workers. What will they do?",
			[]string{"They notice, and end.", "They stay, as orphans, and keep the port.",
				"One of them becomes the master."}},
		from: 3, run: (*Play).killMaster,
	},
	{
		ScenarioInfo: ScenarioInfo{"stop-server", "A server is told to stop while it computes",
			"Server B computes for four callers, and its master is about to get SIGTERM. " +
				"What will the callers get?",
			[]string{"Their answers; then B ends with exit code 0.", "A broken connection, at least some of them.",
				"Their answers, and B doesn't end."}},
		from: 4, run: (*Play).stopServer,
	},
	{
		ScenarioInfo: ScenarioInfo{"freeze-master", "The master is stopped",
			"The master of server A is about to be stopped with SIGSTOP, for longer than the session timeout " +
				"of 6 s. Its workers go on. What will be true then?",
			[]string{"A answers, and is registered.", "A answers, and isn't registered any more.",
				"A doesn't answer."}},
		from: 5, zookeeper: true, run: (*Play).freezeMaster,
	},
	{
		ScenarioInfo: ScenarioInfo{"cut-server", "A server loses its way to ZooKeeper",
			"Nothing will pass between server A and ZooKeeper, for longer than the session timeout of 6 s. " +
				"What will be true then?",
			[]string{"A answers, and is registered.", "A answers, and isn't registered any more.",
				"A doesn't answer."}},
		from: 5, zookeeper: true, run: (*Play).cutServer,
	},
	{
		ScenarioInfo: ScenarioInfo{"end-session", "A session ends",
			"ZooKeeper is about to end the session of server A, which lives. " +
				"What will be registered for A a little later?",
			[]string{"A new znode, with the next number.", "The same znode as before.", "Nothing."}},
		from: 5, zookeeper: true, run: (*Play).endSession,
	},
	{
		ScenarioInfo: ScenarioInfo{"lose-create", "The answer to the create is lost",
			"Server A is about to create its znode anew. ZooKeeper will do so, and its answer will be lost. " +
				"How many znodes will there be for A?",
			[]string{"One.", "Two.", "None."}},
		from: 5, zookeeper: true, run: (*Play).loseCreate,
	},
	{
		ScenarioInfo: ScenarioInfo{"freeze-zk", "ZooKeeper freezes",
			"ZooKeeper is about to be stopped with SIGSTOP, for five seconds. What will the calls do?",
			[]string{"They go on, with the list as it was.", "They fail, at least some of them.",
				"They wait until ZooKeeper goes on."}},
		from: 5, zookeeper: true, run: (*Play).freezeZooKeeper,
	},
	{
		ScenarioInfo: ScenarioInfo{"kill-zk", "ZooKeeper is killed, and started again",
			"ZooKeeper is about to be killed, and started again on its data two seconds later. " +
				"Which znodes will there be after that?",
			[]string{"The same as before.", "Others, with higher numbers.", "None."}},
		from: 5, zookeeper: true, run: (*Play).killZooKeeper,
	},
	{
		ScenarioInfo: ScenarioInfo{"wipe-zk", "ZooKeeper loses its data",
			"ZooKeeper is about to be killed, and started again without its data. " +
				"Which znodes will there be twenty seconds later, at the latest?",
			[]string{"Znodes that count from 0000000000 again.", "Znodes with higher numbers than before.",
				"Not one for each server."}},
		from: 5, zookeeper: true, run: (*Play).wipeZooKeeper,
	},
	{
		ScenarioInfo: ScenarioInfo{"freeze-server", "A whole server freezes",
			"All processes of server A are about to be stopped with SIGSTOP, for six seconds. " +
				"What will the client's calls to A do?",
			[]string{"They move to B after a while; none fails.", "Some of them fail.", "They wait until A goes on."}},
		from: 6, client: true, run: (*Play).freezeServer,
	},
	{
		ScenarioInfo: ScenarioInfo{"cut-client", "A server ends, and the client can't hear of it",
			"The client's way to ZooKeeper is about to be cut, and then server B is stopped with SIGTERM. " +
				"What will the client's calls do?",
			[]string{"They move to A; none fails.", "Some of them fail.",
				"They wait until the list can be read again."}},
		from: 6, client: true, run: (*Play).cutClient,
	},
}

// killWorkers kills so many workers of A.
func (p *Play) killWorkers(ctx context.Context, many int) (happened int, seen string, err error) {
	a := p.servers[0]
	victims, err := p.someWorkers(a, many)
	if err != nil {
		return 0, "", err
	}

	count, began := p.countCalls(), time.Now()
	if err := p.signal("SIGKILL", victims...); err != nil {
		return 0, "", err
	}

	left, waitErr := p.waitWorkers(ctx, a, victims, 2*time.Second)
	took := time.Since(began)
	if ctx.Err() != nil {
		return 0, "", ctx.Err()
	}
	calls := count.result(ctx)
	switch {
	case !a.Running():
		happened, seen = 2, "Server A has ended."
	case waitErr == nil:
		happened, seen = 0, fmt.Sprintf("All %d workers were there again after %s.", Workers, short(took))
	default:
		happened, seen = 1, fmt.Sprintf("Two seconds later server A has %d living workers.", len(left))
		if many > 1 && len(left) == 0 {
			happened = 2
			seen = "Two seconds later server A has no living worker, and its master lives."
		}
	}
	return happened, seen + calls, p.repair(ctx, a)
}

// freezeWorkers stops so many workers of A, and tries so many connections.
func (p *Play) freezeWorkers(ctx context.Context, many, connections int) (happened int, seen string, err error) {
	a := p.servers[0]
	victims, err := p.someWorkers(a, many)
	if err != nil {
		return 0, "", err
	}
	if err := p.signal("SIGSTOP", victims...); err != nil {
		return 0, "", err
	}

	answered, hung, refused := p.probe(ctx, a, connections)
	for _, pid := range victims {
		_ = p.signal("SIGCONT", pid) // it may have been killed and replaced meanwhile
	}
	seen = fmt.Sprintf("Of %d new connections %d were answered, %d not within a second, and %d refused.",
		connections, answered, hung, refused)
	switch {
	case answered == connections:
		happened = 0
	case hung > 0:
		happened = 1
	default:
		happened = 2
	}
	return happened, seen, p.repair(ctx, a)
}

// killMaster kills the master of A.
func (p *Play) killMaster(ctx context.Context) (happened int, seen string, err error) {
	a := p.servers[0]
	if !a.Running() {
		return 0, "", fmt.Errorf("server A doesn't run")
	}
	began := time.Now()
	if err := p.signal("SIGKILL", a.PID()); err != nil {
		return 0, "", err
	}

	const patience = 6 * time.Second
	left, err := p.waitNoWorkers(ctx, a, patience)
	if ctx.Err() != nil {
		return 0, "", ctx.Err()
	}
	if err == nil {
		happened = 0
		seen = fmt.Sprintf("A's workers had ended %s after their master was killed.", short(time.Since(began)))
	} else {
		answered, _, _ := p.probe(ctx, a, 1)
		happened = 1
		seen = fmt.Sprintf("%v later the processes %v of A are still there, and %s.", patience, left,
			map[bool]string{true: "answer calls", false: "don't answer"}[answered > 0])
	}
	return happened, seen, p.repair(ctx, a)
}

// stopServer stops B while it computes.
func (p *Play) stopServer(ctx context.Context) (happened int, seen string, err error) {
	b := p.servers[1]
	if !b.Running() {
		return 0, "", fmt.Errorf("server B doesn't run")
	}
	const callers = 4
	results := p.compute(ctx, b, callers)
	if err := wait(ctx, 100*time.Millisecond); err != nil { // they have begun by now
		return 0, "", err
	}
	if err := p.signal("SIGTERM", b.PID()); err != nil {
		return 0, "", err
	}

	answered := 0
	for range callers {
		if <-results == nil {
			answered++
		}
	}
	how, err := b.Wait(8 * time.Second)
	seen = fmt.Sprintf("%d of %d callers got their answer; ", answered, callers)
	switch {
	case answered < callers:
		happened = 1
	case err != nil:
		happened = 2
	case how != "exit status 0":
		happened = -1
	}
	if err != nil {
		how = "B didn't end within 8 s"
	} else {
		how = "B ended: " + how
	}
	return happened, seen + how + ".", p.repair(ctx, b)
}

// freezeServer stops all processes of A.
func (p *Play) freezeServer(ctx context.Context) (happened int, seen string, err error) {
	a := p.servers[0]
	if !a.Running() {
		return 0, "", fmt.Errorf("server A doesn't run")
	}
	count := p.countCalls()
	p.journal.say(kindDone, "kill -STOP -%d (all processes of A)", a.PID())
	if err := a.Group().SignalAll(syscall.SIGSTOP); err != nil {
		return 0, "", err
	}

	const frozen = 6 * time.Second
	waitErr := wait(ctx, frozen)
	_, _, slowest := p.tally.rates()
	if err := a.Group().SignalAll(syscall.SIGCONT); err != nil {
		return 0, "", err
	}
	if waitErr != nil {
		return 0, "", waitErr
	}
	calls := count.result(ctx)
	switch {
	case count.failed > 0:
		happened = 1
	case count.answered == 0:
		happened = 2
	}
	return happened, fmt.Sprintf("The slowest call took %s.%s", short(slowest), calls), p.repair(ctx, a)
}

// cutClient stops B behind the client's back.
func (p *Play) cutClient(ctx context.Context) (happened int, seen string, err error) {
	b := p.servers[1]
	if !b.Running() {
		return 0, "", fmt.Errorf("server B doesn't run")
	}
	if err := p.damage("cut", "client"); err != nil {
		return 0, "", err
	}
	count := p.countCalls()
	err = p.signal("SIGTERM", b.PID())
	if err == nil {
		err = wait(ctx, 4*time.Second)
	}

	calls := count.result(ctx)
	healErr := p.damage("heal", "client")
	if err != nil {
		return 0, "", err
	}
	switch {
	case count.failed > 0:
		happened = 1
	case count.answered == 0:
		happened = 2
	}
	if healErr != nil {
		return 0, "", healErr
	}
	return happened, "B was stopped while the client couldn't read the list." + calls, p.repair(ctx, b)
}
