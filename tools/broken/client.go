// Mistakes of clients: chapter 6.

package broken

var client = []Program{
	{
		Name:    "first-version",
		Mistake: "is a first version of all three parts, as the chapter describes it, which has yet to see a bad day",
		Step:    "step6-client-watch", Spec: 6,
		Files: "_first6", Without: []string{"errand.go", "silence.go"},
		Edits: []Edit{{"main.go", `

// client makes rounds of calls, balanced over the servers that are registered.
func client(flags *flag.FlagSet, args []string) error {
	calls := NewRoundsFlags(flags)
	zookeeper := NewZKFlags(flags)
	ParseArgs(flags, args)
	rounds := calls.Rounds()

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second one ends the program, even if nobody reads what it prints
	discovery := NewZKDiscovery(zookeeper.Open(), *zookeeper.Root)
	c := NewClient(discovery)
	defer c.Close()

	err := rounds.Run(ctx, c)
	if !errors.Is(err, ErrNoServer) && !errors.Is(err, ErrNoList) {
		return err
	}
	err = fmt.Errorf("%w under %s in ZooKeeper at %s", err, *zookeeper.Root, *zookeeper.Hosts)
	if why := discovery.Err(); why != nil {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return err
}
`, "\n"}, {"main.go", `	"os/signal"
`, ``}},
		Quick:     []string{"6.1", "6.2", "6.3", "6.4", "6.5", "6.6", "6.7", "6.16", "6.17", "6.18"},
		Why:       "most of the others wait for what never comes, each for 10 or 20 s",
		Sometimes: []string{"6.18", "6.22"},
		By:        "whether a call is under way when its server stops, and how quickly it notices a new one",
		Processes: 4,
	},

	// Part A: one server.
	{
		Name:    "one-call-at-a-time",
		Mistake: "waits for the reply to each call before it sends the next one",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"call.go", `		attempts[i] = server.start(frame, outcomes[i])
`, `		attempts[i] = server.start(frame, outcomes[i])
		outcomes[i] <- <-outcomes[i]
`}},
		Quick: []string{"6.1", "6.2"},
		Why:   "with the others of call, the server answers at once",
	},
	{
		Name:    "read-cut-off",
		Mistake: "looks for replies in what one read has brought, and forgets the beginning of the next one",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"pipe.go", `	decoder := NewDecoder(MaxReply)
	buf`, `	buf`}, {"pipe.go", `p.answerAll(decoder, buf[:n])`, `p.answerAll(NewDecoder(MaxReply), buf[:n])`}},
		Quick: []string{"6.2", "6.6"},
		Why:   "elsewhere replies are short, and come in one piece",
	},
	{
		Name:    "writes-with-the-lock",
		Mistake: "holds its lock while it writes, which the reader needs to give out a reply",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"pipe.go", `		_, err := conn.Write(frames)
`, `		p.mu.Lock()
		_, err := conn.Write(frames)
		p.mu.Unlock()
`}},
		Quick: []string{"6.1", "6.3"},
		Why:   "nowhere else is so much written at once",
	},
	{
		Name:    "deadline-not-looked-at",
		Mistake: "waits for a reply, and for nothing else",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"call.go", `		case <-ctx.Done():
			a.drop()
			return Reply{}, ctx.Err()
`, ``}},
		Quick: []string{"6.3", "6.4"},
		Why:   "the other milestones don't call a server that says nothing with call",
	},
	{
		Name:    "queue-not-told",
		Mistake: "tells those whose calls were sent that a connection broke, and not those who are still in the queue",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"pipe.go", `	for _, a := range queue {
		p.settle(a, outcome{err: err})
	}
`, `	_ = queue
`}},
		Quick:     []string{"6.4", "6.5"},
		Why:       "each of the others in which a server refuses would wait for 20 s more",
		Sometimes: []string{"6.28", "6.35", "6.39"},
		By:        "whether a call is in the queue when its server dies",
	},

	// Part B: the list.
	{
		Name:    "bad-znode-fatal",
		Mistake: "takes a znode that is no server for one that could not be read",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `	return addr, nil
}
`, `	return addr, err
}
`}},
		Quick: []string{"6.7", "6.8"},
		Why:   "no other milestone has such znodes",
	},
	{
		Name:    "listed-twice",
		Mistake: "lists a server twice while it has two znodes",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `	addrs = slices.Compact(addrs) // one server may have two znodes for a while
`, ``}},
		Quick: []string{"6.8", "6.9"},
		Why:   "the client doesn't mind that an address is listed twice",
	},
	{
		Name:    "vanished-znode-an-error",
		Mistake: "begins again after a pause when a znode is gone between the list and the look at it",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `		case errors.Is(err, zk.ErrNoNode): // it left between list and get
`, ``}},
		Quick: []string{"6.9", "6.10"},
		Why:   "in no other milestone does that happen again and again",
	},
	{
		Name:    "all-read-again",
		Mistake: "reads all znodes again whenever one comes or goes",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `	if z.addrsSession != listed.session {
`, `	if true {
`}},
		Quick: []string{"6.10", "6.11"},
		Why:   "it costs time, and no other milestone counts that",
	},
	{
		Name:    "error-an-empty-list",
		Mistake: "takes an error of ZooKeeper for an empty list",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `	if len(now.Servers) == 0 && z.last`, `	if now.Stale {
		now.Servers = nil
	}
	if len(now.Servers) == 0 && z.last`}, {"watch.go", `		if hold > 0 || now.Stale {
`, `		if hold > 0 && !now.Stale {
`}},
		Quick: []string{"6.11", "6.12"},
		Why:   "in the others ZooKeeper is there, or the servers are not called meanwhile",
	},
	{
		Name:    "part-taken-for-all",
		Mistake: "publishes what it could read when the rest could not be read",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `		z.listed.changed = nil
		return hidden, failed
`, `		z.listed.changed = nil
		z.known = current
		return hidden, failed
`}},
		Quick:  []string{"6.12", "6.13"},
		Why:    "in no other milestone is ZooKeeper lost while a list is read",
		Varies: []string{"got"},
		By:     "how far the client has come when the znode is hidden",
	},
	{
		Name:    "hidden-znode-an-error",
		Mistake: "publishes nothing as long as it may not read one of the znodes",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `			hidden = err // one of each kind is enough
`, `			failed = err
`}},
		Quick: []string{"6.13", "6.14"},
		Why:   "in the other milestones everyone may read everything",
	},
	{
		Name:    "session-left-open",
		Mistake: "ends without a word to ZooKeeper, which keeps its session until the timeout",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `		_ = z.session.Close(bounded)
`, `		_ = bounded
`}},
		Quick: []string{"6.14", "6.15"},
		Why:   "nobody else looks at sessions that are over",
	},

	// Part C: the client.
	{
		Name:    "first-server-only",
		Mistake: "calls the first server of the list as long as that answers",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"errand.go", `servers[rand.N(len(servers))]
`, `servers[0*rand.N(len(servers))]
`}},
		Quick: []string{"6.16", "6.17"},
		Why:   "each of the others that wait for calls of a second server would wait for 20 s more",
	},
	{
		Name:    "signal-between-calls",
		Mistake: "looks for a signal between two calls, and not while one is under way",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"rounds.go", `	callCtx, cancel := context.WithTimeout(ctx, s.Timeout)
`, `	callCtx, cancel := context.WithTimeout(context.Background(), s.Timeout)
`}},
		Quick: []string{"6.20", "6.21"},
		Why:   "in the others calls are over soon",
	},
	{
		Name:    "error-reply-asked-again",
		Mistake: "asks another server when one has answered with an error",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"errand.go", `	if o.err == nil {
		return true, nil
	}

	e.lost`, `	if o.err == nil && o.reply.Kind != "error" {
		return true, nil
	}

	e.lost`}},
		Quick: []string{"6.23", "6.24"},
		Why:   "no other server answers with an error",
	},
	{
		Name:    "run-twice",
		Mistake: "repeats every call whose connection broke, whatever its method",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"errand.go", `	if o.written && !e.client.Idempotent(e.method) {
`, `	if false {
`}},
		Quick: []string{"6.24", "6.25", "6.26"},
		Why:   "the others call ping and pi, or servers whose connections hold",
	},
	{
		Name:    "unsent-given-up",
		Mistake: "gives up a call that must not run twice, although its server has refused the connection",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"errand.go", `	if o.written && !e.client.Idempotent(e.method) {
`, `	if !e.client.Idempotent(e.method) {
`}},
		Quick: []string{"6.25", "6.26", "6.27"},
		Why:   "the others call ping and pi, or servers that don't refuse",
	},
	{
		Name:    "lost-call-given-up",
		Mistake: "gives up a call when its connection breaks, also a ping or a pi",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"errand.go", `	if o.written && !e.client.Idempotent(e.method) {
`, `	if o.written {
`}},
		Quick:     []string{"6.24", "6.25", "6.27"},
		Why:       "elsewhere it is a matter of chance whether a connection breaks in the middle of a call",
		Sometimes: []string{"6.28", "6.35", "6.39"},
		By:        "whether a server is killed in the middle of a call",
	},
	{
		Name:    "same-short-pause",
		Mistake: "tries a server that fails again after the same short pause each time",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"remote.go", `	pause := min(firstAside<<doublings, maxAside)
`, `	pause := firstAside << (0 * doublings)
`}},
		Quick: []string{"6.28", "6.29"},
		Why:   "no other milestone counts how often a server is tried",
	},
	{
		Name:    "silence-not-noticed",
		Mistake: "waits for a silent server as long as its caller does",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"silence.go", `	maxQuiet     = 8
`, `	maxQuiet     = 8_000
`}, {"silence.go", `	lookInterval = silence / maxQuiet
`, `	lookInterval = silence / 8
`}},
		Quick: []string{"6.29", "6.30", "6.33", "6.34"},
		Why:   "in the others no server is silent",
	},
	{
		Name:    "second-server-asked-regardless",
		Mistake: "also asks another server when one is silent, whatever the method",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"errand.go", `len(e.open) < maxAttempts && e.client.Idempotent(e.method) {
`, `len(e.open) < maxAttempts {
`}},
		Quick: []string{"6.30", "6.31", "6.32"},
		Why:   "in the others ping and pi are called, or no server is silent",
	},
	{
		Name: "one-silent-server-after-the-other",
		Mistake: "asks a random server when one is silent, and another when that is silent, too, until " +
			"the time is over",
		Step: "step6-client-watch", Spec: 6,
		Edits: []Edit{{"errand.go", `			r = firstToAnswer(ctx, candidates)
`, `			r = anyOf(candidates, func(*remote) bool { return true })
`}},
		Quick:  []string{"6.31", "6.33"},
		Why:    "in the others one server hangs at most",
		Varies: []string{"expected", "got"},
		By:     "which servers it happens to ask",
	},
	{
		Name:    "closed-in-good-order",
		Mistake: "closes a connection to a silent server in good order, so that the server goes on working for nobody",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"pipe.go", `_ = tcp.SetLinger(0)`, `_ = tcp`}},
		Quick: []string{"6.33", "6.34"},
		Why:   "no other milestone looks how a connection ends",
	},
	{
		Name:    "watch-of-the-old-session",
		Mistake: "waits for its watch to fire, which has ended with its session",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `		case <-z.listed.changed:
			z.listed.changed = nil // a watch fires once
`, `		case event := <-z.listed.changed:
			z.listed.changed = nil
			if event.Err != nil {
				z.listed.changed = make(chan zk.Event)
			}
`}},
		Quick: []string{"6.18", "6.36"},
		Why:   "in the others the client's session lasts, or each that waits for a server would wait for 20 s more",
	},
	{
		Name:    "empty-list-believed",
		Mistake: "believes an empty list just after a reconnection",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `		if hold > 0 || now.Stale {
`, `		if now.Stale {
`}},
		Quick:     []string{"6.12", "6.37"},
		Why:       "elsewhere the list is empty in an old session, or chance decides",
		Sometimes: []string{"6.38", "6.39"},
		By:        "whether the client is back before the servers",
	},
	{
		Name:    "names-for-good",
		Mistake: "takes names from its old session for the same servers in the new one",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `	if z.addrsSession != listed.session {
`, `	if false {
`}},
		Quick: []string{"6.11", "6.39"},
		Why:   "in no other milestone do the names begin anew",
	},
	{
		Name:    "waits-on-without-zookeeper",
		Mistake: "waits without a bound for a list of servers",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"rounds.go", `	known, cancel := context.WithTimeout(ctx, max(s.Wait, listPatience))
`, `	known, cancel := context.WithCancel(ctx)
`}},
		Quick: []string{"6.19", "6.40"},
		Why:   "in the others there is a ZooKeeper",
	},

	// More of the list, and of the client.
	{
		Name:    "watch-not-set-again",
		Mistake: "reads the list again when its watch has fired, and forgets that a watch fires once",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `	names, _, changed, err := c.ChildrenW(z.root)
`, `	if z.last != nil && len(z.last.Servers) > 0 {
		names, _, err := c.Children(z.root)
		return listing{names, c.SessionID(), make(chan zk.Event)}, err
	}
	names, _, changed, err := c.ChildrenW(z.root)
`}},
		Quick:  []string{"6.6", "6.7"},
		Why:    "each of the others that wait for a change would wait for 10 s or 20 s more, for what 6.7 has told",
		Varies: []string{"got"},
		By:     "whether the list is stale for a moment",
	},
	{
		Name:    "removed-server-called",
		Mistake: "adds the servers that are new in the list, and keeps those that are no longer in it",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"client.go", `		r.retire()
`, `		c.remotes[r.addr], c.list = r, append(c.list, r)
`}},
		Quick:     []string{"6.17", "6.19", "6.23"},
		Why:       "in the other milestones no server leaves the list for good",
		Sometimes: []string{"6.22", "6.39"},
		By: "whether the server, which is avoided for up to 5 s after each failure, is tried while somebody " +
			"listens where it was",
		Processes: 2,
	},
	{
		Name:    "connections-leaked",
		Mistake: "forgets a server that is no longer listed without closing its connection",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"client.go", `	for _, r := range old {
		r.retire()
	}
`, ``}},
		Quick: []string{"6.22", "6.23"},
		Why:   "elsewhere a server that leaves ends its connections itself",
	},
	{
		Name:    "dies-of-a-vanished-znode",
		Mistake: "takes it for a catastrophe when a znode is gone between the list and the look at it",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"watch.go", `		case errors.Is(err, zk.ErrNoNode): // it left between list and get
`, `		case errors.Is(err, zk.ErrNoNode):
			panic(err)
`}},
		Quick: []string{"6.9", "6.10"},
		Why:   "no other milestone hits that moment",
	},
	{
		Name:    "slow-server-given-up",
		Mistake: "breaks a connection that has been silent for two seconds, and begins the call anew",
		Step:    "step6-client-watch", Spec: 6,
		Edits: []Edit{{"silence.go", `	if p.isAbandoned() {
		return errAbandoned
	}
	return nil
}

// takeStock`, `	return errSilent
}

// takeStock`}},
		Quick:     []string{"6.30", "6.31"},
		Why:       "no other server needs so long for an answer",
		Sometimes: []string{"6.33"},
		By:        "which servers a call asks after the first",
	},
}
