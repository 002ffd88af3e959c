// Mistakes with several processes: chapters 3 and 4.

package broken

var processes = []Program{
	{
		Name:    "each-worker-listens",
		Mistake: "lets each worker open the port itself, which only the first one can, and goes on without the others",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{
			{"main.go", `Work(NewService(), *verbose, grace)`, `Work(pos[0], pos[1], NewService(), *verbose, grace)`},
			{"main.go", `	listener, addr, err := Listen(host, port)
	if err != nil {
		return err
	}

	var started []*Worker
`, `	listener := syscall.Stdin
	var started []*Worker
`},
			{"main.go", `		if err := w.WaitReady(startTimeout); err != nil {
			return err
		}
`, `		if err := w.WaitReady(startTimeout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
`},
			{"main.go", `	fmt.Fprintln(Stdout, "listening on", addr)
`, `	fmt.Fprintln(Stdout, "listening on", host+":"+port)
`},
			{"worker.go", `func Work(service Service, verbose bool, grace time.Duration) error {
`, `func Work(host, port string, service Service, verbose bool, grace time.Duration) error {
	listener, _, err := Listen(host, port)
	if err != nil {
		return err
	}
`},
			{"worker.go", `NewServer(loop, listenerFD, `, `NewServer(loop, listener, `},
		},
		Quick: []string{"3.1", "3.2"},
		Why:   "all milestones fail, waiting 10 s each for the second worker",
	},
	{
		Name: "fork-bomb",
		Mistake: "doesn't tell its workers that they are workers, and has cured their \"address already in use\" " +
			"with SO_REUSEPORT",
		Step: "step3-prefork", Spec: 3,
		Edits: []Edit{
			{"prefork.go", `append(os.Environ(), workerMark+"=1")`, `os.Environ()`},
			{"server.go", `	"net"
	"time"
`, `	"net"
	"syscall"
	"time"
`},
			{"server.go", `	config.SetMultipathTCP(false)
`, `	config.SetMultipathTCP(false)
	config.Control = func(_, _ string, socket syscall.RawConn) error {
		return socket.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
	}
`},
		},
		Varies: []string{"did", "expected"},
		By:     "what the test was waiting for when the bomb was found",
	},
	{
		Name:    "marker-hidden",
		Mistake: "adds the marker to the environment, where an empty one that it was started with comes first",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"prefork.go",
			`	os.Unsetenv(workerMark) // even if it is empty: in front of ours it would hide it
	keepDescriptors()
	return mark != ""
`, `	keepDescriptors()
	if mark == "" {
		return false
	}
	os.Unsetenv(workerMark)
	return true
`}},
		Quick:  []string{"3.1", "3.2", "3.12"},
		Why:    "the other milestones are started without the variable",
		Varies: []string{"did", "expected", "got"},
		By:     "how far the server has ended when it is called",
	},
	{
		Name:    "blocking-listener",
		Mistake: "leaves the shared listening socket blocking: who comes too late waits in accept, and answers nobody",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"server.go", `	return fd, ln.Addr().(*net.TCPAddr), err
`, `	return fd, ln.Addr().(*net.TCPAddr), errors.Join(err, unix.SetNonblock(fd, false))
`}},
		Quick:     []string{"3.2", "3.3"},
		Why:       "what else happens is left to chance",
		Sometimes: []string{"3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12"},
		By:        "which workers wait in accept",
	},
	{
		Name:    "lifeline-collected",
		Mistake: "keeps a worker's pid, and leaves the lifeline to the garbage collector, which closes it some day",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"prefork.go", `	w := &Worker{lifeline: lifeline, ready: ready}
`, `	w := &Worker{ready: ready}
	_ = lifeline
`}},
	},
	{
		Name:    "orphans-keep-the-port",
		Mistake: "closes an orphan's listening socket, and doesn't shut it down for a sibling that is busy",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"prefork.go", `	shutDown := func() { _ = unix.Shutdown(listener, unix.SHUT_RD) }
`, `	shutDown := func() { _ = listener }
`}},
		Quick: []string{"3.8", "3.11"},
		Why:   "in the other milestones no worker outlives its master for long",
	},
	{
		Name:    "orphans",
		Mistake: "lets its workers inherit the write ends of lifelines, too, so that these never end",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"prefork.go", `	lifelineR, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
`, `	var ends [2]int
	err := unix.Pipe(ends[:])
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	lifelineR, lifeline := os.NewFile(uintptr(ends[0]), "lifeline"), os.NewFile(uintptr(ends[1]), "lifeline")
`}},
		Quick: []string{"3.1", "3.2", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12"},
		Why:   "3.4 is a statistic, which has nothing to do with it",
	},
	{
		Name:    "master-accepts",
		Mistake: "has its master accept connections, too, beside the workers",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"main.go", `	<-stop                     // when`, `	poller, err := NewPoller()
	if err != nil {
		return err
	}
	loop, err := NewLoop(poller)
	if err != nil {
		return err
	}
	_, err = NewServer(loop, listener, func(c *Conn, body []byte) { c.Reply(NewService().Answer(body)) })
	if err != nil {
		return err
	}
	go func() { _ = loop.Run() }()

	<-stop                     // when`}},
		Quick:     []string{"3.1", "3.2", "3.5"},
		Why:       "what else happens depends on whether the master or a worker is faster",
		Sometimes: []string{"3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12"},
		By:        "which connections the master takes",
	},
	{
		Name:    "accepts-again-at-once",
		Mistake: "listens again at once after it has accepted a connection, and leaves the next one to nobody",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"server.go", `		Pause:    SpreadPause,
`, `		Pause:    func(int, error) time.Duration { return 0 },
`}},
		Quick: []string{"3.2", "3.4"},
		Why:   "it is right, but for the balance",
	},
	{
		Name:    "a-queue-for-each-worker",
		Mistake: "gives each worker a listening socket of its own, with SO_REUSEPORT",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{
			{"server.go", `	"net"
	"time"
`, `	"net"
	"syscall"
	"time"
`},
			{"server.go", `	config.SetMultipathTCP(false)
`, `	config.SetMultipathTCP(false)
	config.Control = func(_, _ string, socket syscall.RawConn) error {
		return socket.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
	}
`},
			{"main.go", `		w, err := Spawn(listener)
		if err != nil {
			return err
		}
`, `		own, _, err := Listen(host, fmt.Sprint(addr.Port))
		if err != nil {
			return err
		}
		w, err := Spawn(own)
		if err != nil {
			return err
		}
		_ = syscall.Close(own)
`},
			{"main.go", `	var started []*Worker
`, `	_ = syscall.Close(listener) // or callers would wait there
	var started []*Worker
`},
		},
		Quick: []string{"3.2", "3.5"},
		Why:   "the other milestones ask neither for the queue of a worker that died, nor stop any",
	},
	{
		Name:    "ends-with-a-worker",
		Mistake: "ends the whole server as soon as one of its workers has ended",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"main.go", `		fmt.Fprintf(&pids, " %d", w.PID)
`, `		fmt.Fprintf(&pids, " %d", w.PID)
		go func() {
			_, err := w.Hear()
			if err != nil {
				os.Exit(1)
			}
		}()
`}},
		Quick: []string{"3.2", "3.5", "3.6"},
		Why:   "in the other milestones no worker ends before its master",
	},
	{
		Name:    "lifeline-not-heard",
		Mistake: "has no lifeline: its workers never learn that their master is gone",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"prefork.go", `	words, gone := hearMaster()
`, `	words, gone := make(chan byte), make(chan struct{})
`}},
		Quick: []string{"3.7", "3.8", "3.9"},
		Why:   "the others that kill the master wait for what 3.8 has told",
	},
	{
		Name:    "ends-with-its-master",
		Mistake: "ends at once when its master is gone, in the middle of a call",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"prefork.go", `		<-gone
		loop.Drain()
`, `		<-gone
		os.Exit(0)
		loop.Drain()
`}},
		Quick:  []string{"3.8", "3.9"},
		Why:    "in no other milestone does it matter how an orphan ends",
		Varies: []string{"got"},
		By:     "which of the worker's sockets the kernel closes first",
	},
	{
		Name:    "orphans-without-a-bound",
		Mistake: "waits for its last client, however long that takes, when its master is gone",
		Step:    "step3-prefork", Spec: 3,
		Edits: []Edit{{"prefork.go", `	late := time.After(grace)
`, `	late := make(chan time.Time)
	_ = grace
`}},
		Quick: []string{"3.8", "3.9", "3.10"},
		Why:   "in the other milestones no client keeps a worker waiting",
	},
	{
		Name:    "one-child-per-signal",
		Mistake: "reaps one child for each SIGCHLD, where one signal may stand for many deaths",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	for _, slot := range s.slots {
		if slot.alive() {
			s.wait(slot.worker.PID)
		}
	}

	more := os.Getpid() == 1 // process 1 inherits every orphan, too
	for more {
		more = s.wait(-1)
	}
`, `	s.wait(-1)
`}},
		Quick:     []string{"4.1", "4.2", "4.3"},
		Why:       "what else happens is left to chance",
		Sometimes: []string{"4.5", "4.6", "4.7", "4.8", "4.10", "4.11", "4.13", "4.14", "4.17", "4.18", "4.20"},
		By:        "whether two workers that are told to end at the same time also die at the same time",
	},
	{
		Name:    "worker-not-replaced",
		Mistake: "reaps a worker that died, and starts no other",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	s.after(pause, func() { s.spawn(slot) })
`, ``}},
		Quick: []string{"4.1", "4.7", "4.15", "4.16"},
		Why:   "4.2 to 4.4 would wait for 20 s more, for what 4.1 has told",
	},
	{
		Name:    "backoff-never-reset",
		Mistake: "waits longer after each death of a worker, however long that has lived",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	if slot.state >= slotReady && time.Since(slot.started) > stablePeriod {
		slot.failures = 0
	}
`, ``}},
		Quick: []string{"4.1", "4.15"},
		Why:   "in no other milestone does a worker die at an old age",
	},
	{
		Name:    "backoff-reset-when-ready",
		Mistake: "forgets the deaths before a worker as soon as that is ready, and not when it has lived for a while",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `		slot.state, s.proven = slotReady, true
`, `		slot.state, s.proven, slot.failures = slotReady, true, 0
`}},
		Quick:  []string{"4.1", "4.15"},
		Why:    "in no other milestone do workers die again and again",
		Varies: []string{"expected", "got"},
		By:     "whether workers are ready before they are killed, on a busy machine",
	},
	{
		Name:    "queue-dropped",
		Mistake: "closes the listening socket at a stop, with those in its queue who have connected and asked",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"server.go", `	s.acceptQueued()
`, ``}},
		Quick: []string{"4.5", "4.10", "4.11"},
		Why:   "in the other milestones nobody is in the queue at a stop",
	},
	{
		Name:    "stop-waits-for-ever",
		Mistake: "sends SIGTERM and waits for every worker, but one that is stopped doesn't get it",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	s.after(s.Grace, s.kill)
`, ``}},
		Quick: []string{"4.7", "4.12", "4.13", "4.14"},
		Why:   "the other milestones have no worker that is stopped",
	},
	{
		Name: "callers-hang-in-a-stop",
		Mistake: "closes the master's listening socket, and forgets that a worker that is busy or stopped has it " +
			"open, too",
		Step: "step4-signals", Spec: 4,
		Edits: []Edit{
			{"supervise.go", `	_ = unix.Shutdown(s.listener, unix.SHUT_RD)
`, ``},
			{"prefork.go", `	shutDown := func() { _ = unix.Shutdown(listener, unix.SHUT_RD) }
`, `	shutDown := func() { _ = listener }
`},
		},
		Quick: []string{"4.7", "4.9", "4.12", "4.13"},
		Why:   "the other milestones have no caller that comes during the stop",
	},
	{
		Name:    "dies-with-its-log",
		Mistake: "doesn't ignore SIGPIPE, so that a line for a log that nobody reads any more ends it",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"process.go", `	signal.Ignore(unix.SIGPIPE)
`, `	_ = unix.SIGPIPE
`}},
		Quick:  []string{"4.1", "4.17"},
		Why:    "in the other milestones somebody reads the log",
		Varies: []string{"did", "expected", "got"},
		By:     "whether the line is written before there is a new worker",
	},
	{
		Name:    "hangup-forces",
		Mistake: "takes any second signal for impatience, also the second SIGHUP of a terminal that is closed",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	if sig != unix.SIGHUP {
		s.insisted++
	}
`, `	s.insisted++
`}},
		Quick: []string{"4.5", "4.6", "4.12", "4.18"},
		Why:   "no other milestone sends SIGHUP twice",
	},
	{
		Name:    "nohup-overruled",
		Mistake: "asks for SIGHUP even if nohup has had it ignored",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"process.go", `	signals = slices.DeleteFunc(signals, signal.Ignored)
`, ``}, {"process.go", `	"slices"
`, ``}},
		Quick:  []string{"4.6", "4.19"},
		Why:    "no other milestone starts the server with a signal ignored",
		Varies: []string{"did", "expected", "got"},
		By:     "how far the server has ended when it is called",
	},
	{
		Name:    "workers-obey-the-group",
		Mistake: "has its workers drain at any SIGTERM, also one that came to all, while the master isn't ready for it",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"prefork.go", `			_ = say(saysWish)
`, `			serving = false
`}},
		Quick:  []string{"4.4", "4.5", "4.6", "4.20"},
		Why:    "no other milestone sends SIGTERM to a worker",
		Varies: []string{"did", "expected", "got"},
		By:     "how far the workers have ended when they are called",
	},
	{
		Name:    "worker-dies-of-sigterm",
		Mistake: "lets SIGTERM end a worker, as it ends any program, in the middle of a call",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"worker.go", `	signal.Notify(wishes, syscall.SIGTERM)
`, ``}},
		Quick:     []string{"4.3", "4.4", "4.20"},
		Why:       "the other milestones send workers no SIGTERM, or send it to the whole group",
		Sometimes: []string{"4.6"},
		Varies:    []string{"got"},
		By:        "whether the end of the connection is an orderly one",
	},
	{
		Name:    "kills-at-once",
		Mistake: "sends its workers SIGKILL when it is to stop",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	s.after(s.Grace, s.kill)
`, `	s.kill()
`}},
		Quick:     []string{"4.4", "4.5", "4.7"},
		Why:       "each further one with a stop would tell the same",
		Sometimes: []string{"4.12", "4.17"},
		Varies:    []string{"got"},
		By:        "how soon the workers are gone",
	},
	{
		Name:    "ends-before-its-workers",
		Mistake: "ends when it has told its workers to end, and doesn't wait for them",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	for s.phase < draining || slices.ContainsFunc(s.slots, slot.alive) {
`, `	for s.phase < draining {
`}},
		Quick: []string{"4.1", "4.5"},
		Why:   "4.13 tells the same, and the other milestones find the workers gone, or don't, by chance",
		Sometimes: []string{
			"4.6", "4.7", "4.8", "4.10", "4.11", "4.12", "4.14", "4.16", "4.17", "4.18", "4.19", "4.20", "4.21",
		},
		By: "how soon after their master the workers end",
	},
	{
		Name:    "ctrl-c-ends-workers",
		Mistake: "lets Ctrl-C end its workers, whom it reaches, too",
		Step:    "step4-signals", Spec: 4,
		Edits:  []Edit{{"worker.go", `	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)`, ``}},
		Quick:  []string{"4.5", "4.6", "4.18"},
		Why:    "no other milestone sends SIGINT or SIGHUP to the group, but for 4.19",
		Varies: []string{"got"},
		By:     "whether the end of the connection is an orderly one",
	},
	{
		Name:    "signals-asked-for-late",
		Mistake: "asks for its signals when all workers are ready, and dies of one that comes before",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{
			{"main.go", `StopSignals(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)`, `make(chan os.Signal, 3)`},
			{"main.go", `		OnStart: func(pids []int) {
`, `		OnStart: func(pids []int) {
			signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
`},
			{"main.go", `	"os"
	"strings"
`, `	"os"
	"os/signal"
	"strings"
`},
		},
		Quick: []string{"4.5", "4.10"},
		Why:   "in the other milestones all workers are ready before a signal comes, or SIGHUP is what matters",
	},
	{
		Name:    "refuses-at-once",
		Mistake: "shuts the listening socket down as soon as it has told its workers to end",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	s.after(refuseDelay, s.closeListener)
`, `	s.closeListener()
`}},
		Quick: []string{"4.5", "4.9", "4.11"},
		Why:   "in the other milestones nobody is in the queue at a stop",
	},
	{
		Name:    "second-signal-unheard",
		Mistake: "hears no second signal: it has begun to end, and waits for that",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `		if s.insisted > 1 {
			s.cancel()
			s.drain()
			s.kill()
		}
		return
`, `		return
`}},
		Quick: []string{"4.5", "4.12"},
		Why:   "no other milestone sends a second signal, but for 4.18",
	},
	{
		Name:    "restarts-at-full-speed",
		Mistake: "replaces every worker at once, also one that dies whenever it is started",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `			pause = min(firstBackoff<<min(slot.failures-1, 8), maxBackoff)
`, `			pause = 0
`}},
		Quick: []string{"4.1", "4.15"},
		Why:   "in the other milestones few workers die",
	},
	{
		Name:    "sleeps-before-a-replacement",
		Mistake: "sleeps through the pause before a replacement, and does nothing else meanwhile",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `	s.after(pause, func() { s.spawn(slot) })
`, `	time.Sleep(pause)
	s.spawn(slot)
`}},
		Quick:     []string{"4.1", "4.15", "4.16"},
		Why:       "in the other milestones there is no pause, or a short one",
		Sometimes: []string{"4.15"},
		By:        "how many workers die within two seconds",
	},
	{
		Name:    "drained-workers-leave",
		Mistake: "lets a worker that has drained end before the socket is shut down, which is left to the master",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"prefork.go", `		if err != nil || word != wordStop {
			return err
		}
`, `		_ = word
		return err
`}},
		Quick: []string{"4.5", "4.21"},
		Why:   "in no other milestone does the master die during a stop",
	},
	{
		Name:    "told-to-end-and-blamed",
		Mistake: "counts a worker that ended because it was told to as one that died young",
		Step:    "step4-signals", Spec: 4,
		Edits: []Edit{{"supervise.go", `		if slot.state >= slotRetiring && err == nil && status == 0 {
			why = nil // it has ended as it was told
		}
`, ``}},
		Quick: []string{"4.4", "4.22"},
		Why:   "no other milestone tells more than one worker to end",
	},
}
