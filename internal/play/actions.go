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
		return p.signal(a.PID, a.Signal)
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

// signal sends a signal to one of the processes on the page, and to no other.
func (p *Play) signal(pid int, name string) error {
	sig, ok := signalsByName[name]
	if !ok {
		return fmt.Errorf("there is no button for the signal %q", name)
	}
	what, ok, err := p.whose(pid)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("process %d is gone", pid)
	}

	p.note(pid, name)
	p.look() // before it happens
	p.journal.say(kindDone, "%s %d (%s)", typed[name], pid, what)
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("%s to %d: %w", name, pid, err)
	}
	return nil
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

// startAgain starts what has ended.
func (p *Play) startAgain(who string) error {
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
func (p *Play) zooKeeper(what string) (err error) {
	if p.zk == nil {
		return errors.New("this chapter has no ZooKeeper")
	}
	was := p.zoo.is()
	if (what == "freeze" || what == "go-on") && was == "dead" {
		return errors.New("ZooKeeper is dead: restart it first")
	}

	switch what {
	case "freeze":
		p.zk.Pause()
		p.zoo.become("frozen")
		p.journal.say(kindDone, "ZooKeeper frozen: its connections stay, and nothing is answered")
	case "go-on":
		p.zk.Resume()
		p.zoo.become("serves")
		p.journal.say(kindDone, "ZooKeeper goes on")
	case "kill":
		p.zk.Kill()
		p.zoo.become("dead")
		p.journal.say(kindDone, "ZooKeeper killed")
	case "restart":
		p.zk.Resume() // a Pause that killing it has ended
		err = p.zk.Restart()
		p.zoo.become("serves")
		p.journal.say(kindDone, "ZooKeeper started again on its data, process %d", p.zk.PID())
	case "wipe":
		p.zk.Resume()
		err = p.zk.Wipe()
		p.zoo.become("serves")
		p.journal.say(kindDone, "ZooKeeper started again without data, process %d", p.zk.PID())
	}
	return err
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
