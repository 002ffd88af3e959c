// Mistakes with ZooKeeper, of servers and of clients: chapters 5 and 6.

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
		Quick: []string{"6.18", "6.22"},
		Why:   "6.8 would wait for 20 s more, for what 6.22 has told",
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
		Quick: []string{"6.22", "6.10", "6.2"},
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
		Quick: []string{"6.30", "6.31"},
		Why:   "no other server needs so long for an answer",
	},
}
