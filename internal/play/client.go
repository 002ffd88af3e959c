// The client on the page: a program that calls the servers, or this process
// where a chapter has none.

package play

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/play/load"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/stage"
	"example.com/rpcworkbook/internal/zkgate"
)

// Kinds of clients.
const (
	kindWorkbook = "workbook" // the workbook's, which says what it sees
	kindYours    = "yours"    // a reader's, known by its output and its connections
	kindPage     = "page"     // this process, which calls what is listed in turn
)

// startTime is how long the servers have until calls begin all the same.
const startTime = 10 * time.Second

// usual is how much is called at the start.
var usual = load.Settings{Callers: 4, Pause: 200 * time.Millisecond}

// A client is who calls the servers. Its methods are safe for concurrent use.
type client struct {
	*stage.Program // nil for the page itself
	kind           string
	link           *link // to ZooKeeper; nil without one, and for the page itself
	play           *Play
	plain          *load.Plain // of the page itself
	load           *load.Load  // of the page itself

	mu       sync.Mutex
	command  string
	settings load.Settings
	input    io.WriteCloser // of the workbook's
	known    bool
	list     load.List
	servers  []load.Server
	round    int       // of the reader's: the number in its latest ping
	latest   time.Time // when its latest line came
	lived    int       // the process that lived at the last look
	stopped  bool
}

// newClient makes the client that the recipe has.
func (p *Play) newClient() (*client, error) {
	c := &client{play: p, settings: usual}
	if p.recipe.client == nil {
		c.kind, c.plain = kindPage, load.NewPlain()
		c.load = load.New(c.plain)
		c.load.Set(c.settings)
		return c, nil
	}

	gate, err := zkgate.New(p.zk.Addr())
	if err != nil {
		return nil, err
	}
	c.link, c.kind = &link{gate: gate}, kindYours
	if p.recipe.talks {
		c.kind = kindWorkbook
	}

	c.Program = p.stage.Add("the client", func() *exec.Cmd {
		cmd := p.recipe.client(c.link.addr())
		c.mu.Lock()
		defer c.mu.Unlock()
		c.command = spoken(cmd)
		if p.recipe.talks {
			c.input, _ = cmd.StdinPipe() // it fails for a command that has been started only
		}
		return cmd
	})
	return c, nil
}

// run makes the calls until ctx ends, if it is this process that does.
func (c *client) run(ctx context.Context) {
	if c.kind == kindPage {
		// Whatever comes of it: calls that fail are shown.
		_ = stage.Await(ctx, startTime, c.ready)
		c.load.Run(ctx, c.play.tally.add)
		c.plain.Close()
	}
}

// ready tells whether servers are listed, and all of them accept connections.
func (c *client) ready() (bool, error) {
	c.mu.Lock()
	servers := c.list.Servers
	c.mu.Unlock()

	for _, addr := range servers {
		conn, err := net.DialTimeout("tcp", addr, probeTime)
		if err != nil {
			return false, nil
		}
		conn.Close()
	}
	return len(servers) > 0, nil
}

// start starts the program, which must not run.
func (c *client) start() error {
	if c.Program == nil {
		return errors.New("the page makes the calls: there is no program to start")
	}
	if c.Running() {
		return errors.New("the client runs already")
	}
	output, err := c.StartReading()
	if err != nil {
		return err
	}
	c.Group().Limit(bomb, "")

	read := c.hear
	if c.kind == kindYours {
		read = c.overhear
	}
	go func() {
		defer output.Close()
		lines := bufio.NewScanner(output)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			read(lines.Text())
		}
	}()
	return c.set(c.wanted())
}

// observe compares the program's process with that of the last time.
func (c *client) observe(table []proc.Info) {
	if c.Program == nil {
		return
	}
	pid := 0
	stopped := false
	for _, info := range table {
		if info.PID == c.PID() && info.Alive() {
			pid, stopped = info.PID, info.Stopped()
		}
	}

	c.mu.Lock()
	lived, was := c.lived, c.stopped
	c.lived, c.stopped = pid, stopped
	if pid == 0 {
		c.known, c.servers = false, nil
	}
	c.mu.Unlock()

	say := func(format string, args ...any) { c.play.journal.say(kindProcess, format, args...) }
	switch {
	case pid != lived && lived != 0:
		say("%d ended (the client)", lived)
	case pid == lived && stopped && !was:
		say("%d stopped (the client): it does nothing until SIGCONT", pid)
	case pid == lived && was && !stopped:
		say("%d goes on", pid)
	}
	if pid != lived && pid != 0 {
		say("%d started (the client)", pid)
	}
}

// wanted is how much is to be called.
func (c *client) wanted() load.Settings {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settings
}

// set changes how much is called.
func (c *client) set(s load.Settings) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settings = s

	switch c.kind {
	case kindPage:
		c.load.Set(s)
	case kindWorkbook:
		if !c.Running() {
			return nil // the next one hears of it
		}
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if _, err := c.input.Write(append(text, '\n')); err != nil {
			return fmt.Errorf("tell the client how much to call: %w", err)
		}
	}
	return nil
}

// hear takes in a line of the workbook's client.
func (c *client) hear(text string) {
	var line load.Line
	if json.Unmarshal([]byte(text), &line) != nil {
		c.play.journal.say(kindCalls, "the client says: %s", text)
		return
	}

	if line.List != nil {
		c.play.zoo.catchUp(c.play.running)
		c.relist(*line.List)
	}
	if line.Report != nil {
		c.play.tally.add(*line.Report)
		c.mu.Lock()
		c.servers = line.Servers
		c.mu.Unlock()
	}
}

var (
	answerLine = regexp.MustCompile(`^(\S+:\d+) (pong|pi_r) (.*)$`)
	failedLine = regexp.MustCompile(`^(?:ping|pi) .* failed: (.*)$`)
)

// interval is how long a reader's client waits between two rounds.
const interval = 100 * time.Millisecond

// overhear takes in a line of a reader's client. It makes one call after the
// other, and so the time between two lines is how long a call took.
func (c *client) overhear(text string) {
	now := time.Now()
	c.mu.Lock()
	took := now.Sub(c.latest)
	if c.latest.IsZero() {
		took = 0
	}
	c.latest = now
	defer c.mu.Unlock()

	if m := failedLine.FindStringSubmatch(text); m != nil {
		c.play.tally.add(load.Report{Failed: map[string]int{"": 1}, Trouble: text})
		return
	}
	m := answerLine.FindStringSubmatch(text)
	if m == nil {
		return // of its log
	}

	r := load.Report{Answered: map[string]int{m[1]: 1}}
	if m[2] == "pong" {
		took -= interval
		c.round, _ = strconv.Atoi(m[3][strings.LastIndexByte(m[3], ' ')+1:])
	} else if value, err := strconv.ParseFloat(m[3], 64); err == nil {
		r.Points = []load.Point{{N: c.round, Error: pi - value}}
	}
	r.Slowest = max(0, took)
	c.play.tally.add(r)
}

const pi = 3.14159265358979323846

// relist takes in a list of servers.
func (c *client) relist(list load.List) {
	c.mu.Lock()
	known, before := c.known, c.list
	c.known, c.list = true, list
	c.mu.Unlock()

	what := "list"
	if c.kind == kindYours {
		what = "your client is connected to"
	}
	say := func(format string, args ...any) { c.play.journal.say(kindList, what+": "+format, args...) }
	switch {
	case !known:
		say("%s", ports(list.Servers))
	case !slices.Equal(before.Servers, list.Servers):
		say("%s → %s", ports(before.Servers), ports(list.Servers))
	}
	switch {
	case list.Stale && !before.Stale:
		say("stale, as ZooKeeper can't be asked; calls go on with %s", ports(list.Servers))
	case !list.Stale && before.Stale:
		say("fresh again")
	}
}

// ports names servers by their ports.
func ports(servers []string) string {
	if len(servers) == 0 {
		return "no server"
	}
	var names []string
	for _, addr := range servers {
		names = append(names, addr[strings.LastIndexByte(addr, ':')+1:])
	}
	return strings.Join(names, ", ")
}

// picture is what the page shows. The page's own list is brought up to date
// with it.
func (c *client) picture(all map[string]socket) Client {
	connections := c.connections(all)
	if c.kind != kindWorkbook {
		c.look(connections)
	}

	answered, failed, slowest := c.play.tally.rates()
	calls, lost := c.play.tally.totals()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := Client{
		Kind: c.kind, Command: c.command, Link: c.link.fault(),
		Known: c.known, List: append([]string{}, c.list.Servers...), Stale: c.list.Stale,
		Servers: []ClientServer{}, Waiting: c.play.tally.outstanding(),
		Calls: calls, Failed: lost, Slowest: slowest.Milliseconds(),
	}
	if c.Program == nil {
		p.Running = true
	} else {
		p.PID, p.Running, p.Stopped = c.PID(), c.Running(), c.stopped
	}
	if c.kind == kindYours {
		p.Waiting = -1
	} else {
		settings := c.settings
		p.Settings = &settings
	}

	for _, v := range c.play.servers {
		row := ClientServer{Addr: v.addr, Listed: slices.Contains(c.list.Servers, v.addr),
			Connections: connections[v.port], Outstanding: -1, Answered: answered[v.addr], Failed: failed[v.addr]}
		for _, s := range c.servers {
			if s.Addr == v.addr {
				row.Outstanding, row.SetAside = s.Outstanding, s.SetAside
			}
		}
		p.Servers = append(p.Servers, row)
	}
	return p
}

// connections counts the client's connections by the server's port.
func (c *client) connections(all map[string]socket) map[int]int {
	pid := ownPID
	if c.Program != nil {
		pid = c.PID()
	}
	counts := map[int]int{}
	for _, s := range socketsOf(pid, all) {
		if !s.listens {
			counts[s.remote]++
		}
	}
	return counts
}

// look has the page's own client, and a reader's, take up the list: the one
// calls what is registered, or all servers where nothing registers; of the
// other we see whom it is connected to.
func (c *client) look(connections map[int]int) {
	var list load.List
	switch {
	case c.kind == kindYours:
		for _, v := range c.play.servers {
			if connections[v.port] > 0 {
				list.Servers = append(list.Servers, v.addr)
			}
		}
	case c.play.zoo != nil:
		addrs, known := c.play.zoo.addrs()
		if !known {
			return
		}
		list = load.List{Servers: addrs, Stale: c.play.zoo.isOld()}
	default:
		for _, v := range c.play.servers {
			list.Servers = append(list.Servers, v.addr)
		}
	}

	slices.Sort(list.Servers)
	c.relist(list)
	if c.plain != nil {
		c.plain.List(list.Servers)
	}
}
