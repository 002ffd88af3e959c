// What the buttons do.

package play

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"example.com/rpcworkbook/internal/play/load"
	"example.com/rpcworkbook/internal/proc"
)

// An Action is what a button asks for.
type Action struct {
	Do string `json:"do"` // see Do

	PID      int            `json:"pid,omitempty"`    // for "signal"
	Signal   string         `json:"signal,omitempty"` // "SIGTERM", "SIGKILL", "SIGSTOP" or "SIGCONT"
	Who      string         `json:"who,omitempty"`    // for "start" and the links: "A", "B" or "client"
	Settings *load.Settings `json:"settings,omitempty"`
	Scenario string         `json:"scenario,omitempty"`
	Guess    int            `json:"guess"` // for "scenario": the choice, from 0; −1 for none
}

var signalsByName = map[string]syscall.Signal{
	"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL, "SIGSTOP": syscall.SIGSTOP, "SIGCONT": syscall.SIGCONT,
}

// typed is how one sends a signal in a terminal.
var typed = map[string]string{
	"SIGTERM": "kill", "SIGKILL": "kill -9", "SIGSTOP": "kill -STOP", "SIGCONT": "kill -CONT",
}

// errBusy says that one thing is done at a time.
var errBusy = errors.New("wait: what was asked for before is still going on")

// Do does what a button asks for, and returns when it is done; a scenario goes
// on afterwards. The error says why it can't be done.
func (p *Play) Do(a Action) error {
	if a.Do == "scenario" {
		return p.play(a.Scenario, a.Guess)
	}

	if !p.acting.TryLock() {
		return errBusy
	}
	defer p.acting.Unlock()
	return p.act(a)
}

// act is Do for whoever holds the lock.
func (p *Play) act(a Action) error {
	defer p.look()

	switch a.Do {
	case "signal":
		return p.signal(a.Signal, a.PID)
	case "start":
		return p.startAgain(a.Who)
	case "load":
		return p.setLoad(a.Settings)
	case "freeze", "go-on", "kill", "restart", "wipe":
		return p.zooKeeper(a.Do)
	case "cut", "delay", "heal", "end-session", "lose-create":
		return p.damage(a.Do, a.Who)
	}
	return fmt.Errorf("there is no button %q", a.Do)
}

// setLoad changes how much is called.
func (p *Play) setLoad(s *load.Settings) error {
	if s == nil || p.client.kind == kindYours {
		return errors.New("how much is called is not for the page to say here")
	}
	p.journal.say(kindDone, "load: %d callers, a pause of up to %v, %s", s.Callers, s.Pause,
		map[bool]string{true: "computations of 0.3 s", false: "short computations"}[s.Long])
	return p.client.set(*s)
}

// signal sends a signal to processes on the page, and to no others, in the same
// instant.
func (p *Play) signal(name string, pids ...int) error {
	sig, ok := signalsByName[name]
	if !ok {
		return fmt.Errorf("there is no button for the signal %q", name)
	}
	whose := make([]string, len(pids))
	for i, pid := range pids {
		what, ok, err := p.whose(pid)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("process %d is gone", pid)
		}
		whose[i] = what
	}

	for i, pid := range pids {
		p.note(pid, name)
		p.journal.say(kindDone, "%s %d (%s)", typed[name], pid, whose[i])
	}
	p.look() // before it happens

	var err error
	for _, pid := range pids {
		if failed := syscall.Kill(pid, sig); failed != nil {
			err = fmt.Errorf("%s to %d: %w", name, pid, failed)
		}
	}
	return err
}

// note remembers which signal a process is about to get.
func (p *Play) note(pid int, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signals[pid] = signalled{name, time.Now()}
}

// whose says whose process that is, if it is one of ours.
func (p *Play) whose(pid int) (what string, ours bool, err error) {
	table, err := proc.Table()
	if err != nil {
		return "", false, err
	}

	for _, v := range p.servers {
		if m, ok := v.members(table)[pid]; ok && m.Alive() {
			return m.role + " of " + v.name, true, nil
		}
	}
	if p.client.Program != nil && p.client.Running() && p.client.PID() == pid {
		return "the client", true, nil
	}
	return "", false, nil
}

// startAgain starts what has ended, when the log has told of that.
func (p *Play) startAgain(who string) error {
	p.lookNow()
	if who == "client" {
		p.journal.say(kindDone, "the client is started again")
		return p.client.start()
	}
	v := p.server(who)
	if v == nil {
		return fmt.Errorf("there is no server %q", who)
	}
	p.journal.say(kindDone, "server %s is started again", who)
	return v.start()
}

// server returns the server of that name, nil if there is none.
func (p *Play) server(name string) *server {
	i := slices.IndexFunc(p.servers, func(v *server) bool { return v.name == name })
	if i < 0 {
		return nil
	}
	return p.servers[i]
}

// zooKeeper does something to ZooKeeper.
func (p *Play) zooKeeper(what string) error {
	if p.zk == nil {
		return errors.New("this chapter has no ZooKeeper")
	}
	was := p.zoo.is()
	if (what == "freeze" || what == "go-on") && was == "dead" {
		return errors.New("ZooKeeper is dead: restart it first")
	}

	switch what {
	case "freeze":
		p.journal.say(kindDone, "ZooKeeper frozen: its connections stay, and nothing is answered")
		p.zk.Pause()
		p.zoo.become("frozen")
	case "go-on":
		p.journal.say(kindDone, "ZooKeeper goes on")
		p.zk.Resume()
		p.zoo.become("serves")
	case "kill":
		p.takeDown()
	case "restart":
		return p.bringBack(p.zk.Restart, true)
	case "wipe":
		return p.bringBack(p.zk.Wipe, false)
	}
	return nil
}

// takeDown kills ZooKeeper. The log says so first: others notice at once.
func (p *Play) takeDown() {
	p.journal.say(kindDone, "ZooKeeper killed")
	p.zk.Kill()
	p.zoo.become("dead")
}

// bringBack has launch start ZooKeeper again, with its data or without, after
// killing it if it runs. It returns when ZooKeeper serves.
func (p *Play) bringBack(launch func() error, data bool) error {
	if p.zoo.is() != "dead" {
		p.takeDown()
	}
	p.zk.Resume() // a Pause that killing it has ended

	with := map[bool]string{true: "on its data", false: "without data"}[data]
	p.journal.say(kindDone, "ZooKeeper is started again %s", with)
	if err := launch(); err != nil {
		return err
	}

	p.zoo.restarted(data)
	p.zoo.become("serves")
	p.journal.say(kindZoo, "ZooKeeper serves again, process %d", p.zk.PID())
	return nil
}

// damage does something to the way from a party to ZooKeeper.
func (p *Play) damage(what, who string) error {
	l, name := p.client.link, "the client"
	if v := p.server(who); v != nil {
		l, name = v.link, "server "+who
	} else if who != "client" {
		return fmt.Errorf("there is no %q with a way to ZooKeeper", who)
	}
	if l == nil {
		return fmt.Errorf("%s doesn't speak to ZooKeeper here", name)
	}

	switch what {
	case "cut":
		p.journal.say(kindDone, "the way from %s to ZooKeeper cut: nothing passes", name)
		l.cut()
		return nil
	case "delay":
		p.journal.say(kindDone, "the way from %s to ZooKeeper delayed by %v, each way", name, linkDelay)
		l.delay()
		return nil
	case "heal":
		p.journal.say(kindDone, "the way from %s to ZooKeeper is whole again", name)
		return l.heal()
	case "end-session":
		p.journal.say(kindDone, "ZooKeeper ends the session of %s", name)
		return l.endSession()
	}

	p.journal.say(kindDone, "the session of %s ends; when it creates its znode anew, the answer will be lost", name)
	err := l.loseCreate()
	if err == nil {
		p.journal.say(kindZoo, "ZooKeeper has created a znode, and its answer was lost: the connection broke")
	}
	return err
}
