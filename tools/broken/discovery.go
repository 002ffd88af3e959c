// Mistakes of servers with ZooKeeper: chapter 5.

package broken

var discovery = []Program{
	{
		Name:    "registered-too-early",
		Mistake: "registers as soon as it knows its port, before a worker accepts connections",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"main.go", `Endpoint{Host: host, Port: addr.Port})
`, `Endpoint{Host: host, Port: addr.Port})
	registrar.SetServing(true)
`}},
		Quick: []string{"5.1", "5.2"},
		Why:   "soon after the start there is no difference any more",
	},
	{
		Name: "registered-once",
		Mistake: "registers at the start, and leaves the rest to the library, which gives it a new session but no " +
			"node in it",
		Step: "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	if r.owner != sessionID {
		r.node, r.guarded = "", "" // znode and watch went with the session that owned them
	}
`, ``}, {"register.go", `return r.guard(sessionID)`, `return nil`}},
		Quick: []string{"5.2", "5.11", "5.20", "5.21"},
		Why:   "5.14 would wait for 20 s more, and the others don't end the session",
	},
	{
		Name:    "not-looked-after",
		Mistake: "registers again when its session has ended, and never learns that somebody has deleted its node",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `return r.guard(sessionID)`, `return nil`}},
		Quick: []string{"5.11", "5.22"},
		Why:   "in no other milestone is a node taken away",
	},
	{
		Name:    "withdrawn-at-once",
		Mistake: "withdraws its node as soon as no worker is left, also when the next one is there in a moment",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"supervise.go", "\tquietPeriod = time.Second\n", "\tquietPeriod = 0\n"}},
		Quick: []string{"5.2", "5.7", "5.19"},
		Why:   "in the other milestones a worker is always there",
	},
	{
		Name:    "never-withdrawn",
		Mistake: "stays registered for as long as its master lives, with no worker left to answer",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"main.go", `OnServing: registrar.SetServing,
`, `OnServing: func(bool) { registrar.SetServing(true) },
`}},
		Quick: []string{"5.2", "5.7", "5.19"},
		Why:   "in the other milestones a worker is always there",
	},
	{
		Name:    "predecessor-adopted",
		Mistake: "takes a node with its own data for its own, which the server before it has left",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{
			{"register.go", `		mine:    make(map[int64]bool),
	}
`, `		mine:    make(map[int64]bool),
		doubt:   true,
	}
`},
			{"register.go", `	case owner == sessionID && r.node == "":
`, `	case owner != 0 && r.node == "":
`},
			{"register.go", `	ours := err == nil && found.owner == sessionID
`, `	ours := err == nil
`},
		},
		Quick: []string{"5.2", "5.18"},
		Why:   "in the other milestones no node is there at the start",
	},
	{
		Name:    "two-nodes",
		Mistake: "registers again after an error, although the first time may have worked and only the answer was lost",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `		r.doubt = isAmbiguous(err)
`, ``}},
		Quick: []string{"5.11", "5.12"},
		Why:   "5.23 takes three ZooKeepers, and no other milestone loses an answer",
	},
	{
		Name:    "list-without-sync",
		Mistake: "lists to learn what became of a create, and asks a member of ZooKeeper that doesn't know of it yet",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `		if _, err := c.Sync(r.root); err != nil {
			return nil, err
		}
`, ``}},
		Quick: []string{"5.12", "5.23"},
		Why:   "in no other milestone does a session move to another member",
	},
	{
		Name:    "waits-for-zookeeper",
		Mistake: "waits for ZooKeeper at its start, before it serves anybody",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"main.go", `	session := zookeeper.Open()
`, `	session := zookeeper.Open()
	for session.Conn() == nil {
		time.Sleep(10 * time.Millisecond)
	}
`}},
		Quick: []string{"5.14", "5.15", "5.16"},
		Why:   "the one without ZooKeeper fails; those after it find it running again",
	},
	{
		Name:    "workers-register",
		Mistake: "has each worker register, with a session of its own",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{
			{"main.go", `	if isWorker {
		return Work(`, `	port, _ := net.LookupPort("tcp", pos[1])
	if isWorker {
		NewRegistrar(zookeeper.Open(), *zookeeper.Root, Endpoint{Host: host, Port: port}).SetServing(true)
		return Work(`},
			{"main.go", `	"log/slog"
`, `	"log/slog"
	"net"
`},
		},
		Quick: []string{"5.6", "5.7", "5.10"},
		Why:   "with as many nodes as workers nearly all fail",
	},
	{
		Name:    "node-not-ephemeral",
		Mistake: "creates a node that stays when the server is gone",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `zk.FlagEphemeral|zk.FlagSequence`, `zk.FlagSequence`},
			{"register.go", `	ours := err == nil && found.owner == sessionID
`, `	ours := err == nil
`}},
		Quick: []string{"5.2", "5.4"},
		Why:   "with a node that stays most fail",
	},
	{
		Name:    "one-level-only",
		Mistake: "makes the root, and not what is missing above it",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `		if err := r.createRoot(); err != nil {
`, `		if err := r.createLevel(r.root); err != nil && !errors.Is(err, zk.ErrNodeExists) {
`}, {"register.go", `		path, err = r.createNode(sessionID)
	}
`, `		path, err = r.createNode(sessionID)
		_ = r.createRoot
	}
`}},
		Quick: []string{"5.2", "5.3"},
		Why:   "in the other milestones only the root is missing",
	},
	{
		Name:    "port-of-the-command-line",
		Mistake: "registers the port that it was told, also when that is 0",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{
			{"main.go", `Endpoint{Host: host, Port: addr.Port})
`, `Endpoint{Host: host, Port: port})
`},
			{"main.go", `	fmt.Fprintln(Stdout, "listening on", addr)
`, `	fmt.Fprintln(Stdout, "listening on", addr)
	port, _ := net.LookupPort("tcp", pos[1])
`},
			{"main.go", `	"log/slog"
`, `	"log/slog"
	"net"
`},
		},
		Quick: []string{"5.2", "5.4", "5.6"},
		Why:   "the others that start it with port 0 look for the same",
	},
	{
		Name:    "host-it-listens-on",
		Mistake: "registers the host that it listens on, whatever it is to advertise",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"main.go", `	host, err := RegisterableHost(*advertise, pos[0])
`, `	host := pos[0]
	_, err := RegisterableHost(*advertise, host)
`}},
		Quick: []string{"5.4", "5.5", "5.6"},
		Why:   "no other milestone advertises anything",
	},
	{
		Name:    "every-address-registered",
		Mistake: "registers 0.0.0.0, which is every client's own machine",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"main.go", `	host, err := RegisterableHost(*advertise, pos[0])
	if err != nil {
		UsageError(flags, "%v", err)
	}
`, `	host := cmp.Or(*advertise, pos[0])
`}, {"main.go", `import (
`, `import (
	"cmp"
`}},
		Quick: []string{"5.4", "5.5", "5.6"},
		Why:   "no other milestone listens on every address",
	},
	{
		Name:    "refused-first",
		Mistake: "stops first, and ends its registration when nobody answers any more",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{
			{"main.go", `			slog.Info("stopping")
			if registrar.Close(ctx) {
				time.Sleep(noticeTime)
			}
`, `			slog.Info("stopping")
`},
			{"main.go", `	return s.Run(listener, stop)
`, `	err = s.Run(listener, stop)
	ctx, cancel := context.WithTimeout(context.Background(), noticeTime)
	defer cancel()
	registrar.Close(ctx)
	return err
`},
		},
		Quick: []string{"5.7", "5.8", "5.10"},
		Why:   "in no other milestone does anybody call while it stops",
	},
	{
		Name:    "no-time-to-notice",
		Mistake: "refuses as soon as its node is gone, when clients have yet to hear of that",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"main.go", `			if registrar.Close(ctx) {
				time.Sleep(noticeTime)
			}
`, `			registrar.Close(ctx)
`}, {"main.go", `	"syscall"
	"time"
)

// noticeTime`, `	"syscall"
	"time"
)

var _ = noticeTime

// noticeTime`}},
		Quick: []string{"5.8", "5.9"},
		Why:   "the others don't look at when it ends",
	},
	{
		Name:    "registers-while-it-stops",
		Mistake: "deletes the node that it knows of when it stops, and leaves a create that is under way to itself",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	err := r.session.Close(ctx)
	select {
	case <-r.done:
	case <-ctx.Done():
	}
`, `	err := error(nil)
	select {
	case <-r.done:
		if r.node != "" {
			err = r.remove(r.node)
		}
	case <-time.After(200 * time.Millisecond):
	}
`}},
		Quick: []string{"5.7", "5.9"},
		Why:   "in the other milestones nothing is under way when it stops",
	},
	{
		Name:    "whole-list-cleared",
		Mistake: "deletes all that is below the root before it registers, for it may be an earlier server's",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	path, err := r.createNode(sessionID)
`, `	names, _ := Do(r.session, func(c *zk.Conn) ([]string, error) {
		names, _, err := c.Children(r.root)
		return names, err
	})
	for _, name := range names {
		_ = r.remove(r.root + "/" + name)
	}
	path, err := r.createNode(sessionID)
`}},
		Quick: []string{"5.9", "5.10", "5.11"},
		Why:   "5.12 and 5.28 find it out, too; in the others no other node is there",
	},
	{
		Name:    "same-data-deleted",
		Mistake: "takes every node with its own data for one that it left, and deletes those of other sessions",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	case owner != 0 && r.mine[owner] && path != r.node:
`, `	case owner != 0 && path != r.node:
`}},
		Quick: []string{"5.11", "5.12", "5.18"},
		Why:   "in the other milestones nobody else has the same data",
	},
	{
		Name:    "connection-taken-for-session",
		Mistake: "takes a lost connection for a lost session, and registers again",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	if conn == nil {
		return r.session.noSession()
`, `	if conn == nil {
		r.node, r.guarded = "", ""
		return r.session.noSession()
`}},
		Quick: []string{"5.11", "5.13"},
		Why:   "in the other milestones the session is lost as well",
	},
	{
		Name:    "ending-waits-for-zookeeper",
		Mistake: "ends only when it has told ZooKeeper so, however long that takes",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{
			{"register.go", `	err := r.session.Close(ctx)
`, `	for r.session.Conn() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	err := r.session.Close(ctx)
`},
			{"main.go", `	s := Supervisor{
`, `	goodbye := make(chan struct{})
	s := Supervisor{
`},
			{"main.go", `			slog.Info("stopping")
`, `			defer close(goodbye)
			slog.Info("stopping")
`},
			{"main.go", `	return s.Run(listener, stop)
`, `	err = s.Run(listener, stop)
	<-goodbye
	return err
`},
		},
		Quick: []string{"5.8", "5.14", "5.15"},
		Why:   "in the other milestones ZooKeeper can be told when it stops",
	},
	{
		Name:    "never-tried-again",
		Mistake: "waits for news of its session after a create that was refused",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	if err != nil {
		retry = time.After(retryPause(t.retries, maxRetryPause))
	}
`, `	_ = err
`}, {"register.go", `		sessionChanged = nil
`, `		sessionChanged = time.After(retryPause(t.retries, maxRetryPause))
`}, {"register.go", `	sessionChanged := r.session.Changed()
`, `	sessionChanged := make(<-chan time.Time)
	changed := r.session.Changed()
`}, {"register.go", `	select {
	case <-sessionChanged:
	case <-r.touched:
`, `	select {
	case <-changed:
	case <-sessionChanged:
	case <-r.touched:
`}},
		Quick: []string{"5.11", "5.24"},
		Why:   "in the other milestones news come in when ZooKeeper is well again",
	},
	{
		Name:    "tried-at-one-pace",
		Mistake: "tries again once a second, for as long as ZooKeeper refuses",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	return pause/2 + rand.N(pause/2)
`, `	_, _ = pause, rand.N[time.Duration]
	return time.Second
`}},
		Quick: []string{"5.22", "5.24"},
		Why:   "the others don't look at when it tries again",
	},
	{
		Name:    "every-failure-logged",
		Mistake: "warns of each failure, several times a second",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	if t.isNews(err, registered) {
`, `	if t.isNews(err, registered) || true {
`}},
		Quick: []string{"5.15", "5.24"},
		Why:   "the others don't look at the log",
	},
	{
		Name:    "put-back-at-once",
		Mistake: "makes its node again as soon as somebody has deleted it, however often",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `		retry = time.After(retryPause(t.retries, maxRetryPause))
`, `		retry = time.After(retryPause(t.retries, maxRetryPause))
		if errors.Is(err, errTaken) {
			retry = time.After(0)
		}
`}},
		Quick: []string{"5.22", "5.25"},
		Why:   "in no other milestone is a node taken away again and again",
	},
	{
		Name:    "pauses-short-too-soon",
		Mistake: "forgets a trouble as soon as one attempt has succeeded",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `			t.warned = ""
`, `			t.warned = ""
			t.retries = 0
`}},
		Quick: []string{"5.22", "5.24", "5.25"},
		Why:   "in no other milestone is a node taken away again and again",
	},
	{
		Name:    "pauses-stay-long",
		Mistake: "never forgets a trouble: the pauses that have grown stay long",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `		t.retries = 0
	}
	t.last`, `		_ = t.retries
	}
	t.last`}},
		Quick: []string{"5.24", "5.26"},
		Why:   "no other milestone lets so much time pass between two troubles",
	},
	{
		Name:    "withdrawal-forgotten",
		Mistake: "takes its node for gone as soon as it has asked for that",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	if err := r.remove(r.node); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
	r.node = ""
`, `	node := r.node
	r.node = ""
	if err := r.remove(node); err != nil {
		return fmt.Errorf("withdraw: %w", err)
	}
`}},
		Quick: []string{"5.19", "5.27"},
		Why:   "in no other milestone is a delete lost",
	},
	{
		Name:    "list-read-each-time",
		Mistake: "reads all that is registered before it registers, whether there is a doubt or not",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	if r.doubt {
		if err`, `	if r.doubt || r.node == "" {
		if err`}},
		Quick: []string{"5.11", "5.28"},
		Why:   "the others don't look at what it asks",
	},
	{
		Name:    "earlier-sessions-forgotten",
		Mistake: "looks for nodes of its present session only, when an earlier one may still live",
		Step:    "step5-discovery", Spec: 5,
		Edits: []Edit{{"register.go", `	case owner != 0 && r.mine[owner] && path != r.node:
`, `	case owner == sessionID && path != r.node:
`}},
		Quick: []string{"5.12", "5.29"},
		Why:   "in no other milestone does a session live on that the server has given up",
	},
}
