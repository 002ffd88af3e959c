// Package rpc is a distributed RPC service, small enough to be read whole:
// servers that register in ZooKeeper, and clients that find them there and move
// their calls as servers come and go. Requests and replies are JSON in frames,
// as PROTOCOL.md has it; README.md has the flags, the guarantees and the
// limits.
//
// # Four names to start from
//
// [Handle] makes a method of an ordinary function:
//
//	service := rpc.NewService() // ping and pi
//	service["upper"] = rpc.Handle(upper)
//
//	func upper(ctx context.Context, text string) (string, error) {
//		return strings.ToUpper(text), nil
//	}
//
// [ServeListener] serves until a context ends, in one process: for tests, and
// beside whatever else a program does. The package's Example is a whole
// program with it.
//
// [Serve] is the server for production: a master, several worker processes on
// one socket, signals, heartbeats, and a registration while a worker serves.
// The directory example has a server and a client to copy.
//
// [NewClient] returns a client, which calls the servers that a [Discovery]
// finds: a [ZKDiscovery] asks ZooKeeper, a [Static] is a list.
//
// # Before you call Serve
//
// Serve starts the running program again for every worker, with the same
// arguments. So:
//
//   - A program calls Serve before it opens files, starts goroutines or prints:
//     all that comes before it happens in each worker, too.
//   - It returns from main after Serve, and doesn't call it again: all that
//     comes after it happens in each worker, too, and there a second Serve is
//     refused.
//   - go run comes between you and the program: signals go to it, and exit
//     codes are its own. Build first.
//   - A test that calls Serve would start the test binary again, and that would
//     test. Use ServeListener there.
//   - Workers are processes. A variable is each worker's own, and lost with it.
//   - What reads our output can hold us up. Serve expects that DetachOutput was
//     called; [ServerFlags.Serve] does it.
//
// Only [ParseArgs], [UsageError], what reads flags with them, and [Exit] end
// the program: they are for a command's main.
//
// # What is exported to be used
//
// Beside those four names: what is set in a [Config], above all its [Limits]
// and [Service]; [ClientOptions] and [ServerStats]; [Func], [TaskMethod] and
// [Task] for methods that need no goroutine, and [PeerAddr]; [Registration],
// [Registrar], [Endpoint], [Snapshot], [Session], [Credentials] and [CheckRoot]
// for registries and their users; the errors, whose names all begin with Err or
// end with Error. For commands there are [ServerFlags], [ZKFlags],
// [RoundsFlags] with [Rounds], [RunCall], [RunList], [ParseArgs], [Teach],
// [Exit], [DetachOutput], [Stdout] and [Stderr].
//
// # What is exported to be read
//
// The rest. The chapters of the workbook build it, a file at a time, and this
// package has their files, most of them byte for byte, with their names: the
// loop ([Loop], [Timer], [Poller], [Events]), the server on it ([Listen],
// [Server], [Conn], [Handler], [SpreadPause]), processes ([Spawn], [Worker],
// [IsWorker], [RunWorker], [DefaultWorkers], [Supervisor], [StopSignals],
// [Output]), and the wire ([Decoder], [AppendFrame], [Request], [Reply] and
// what makes and parses them, [Ping], [Pi]). You can build another server of
// these parts; the benchmarks do.
//
// # A map of the files
//
// The number is that of the chapter whose README explains a file.
//
//	method.go       what answers a call: Handle, Func
//	task.go         computations in steps
//	dispatch.go     each call goes where its method runs; whose step is next
//	service.go    1 ping and pi
//	message.go    1 requests and replies; fast.go is quick at the usual ones
//	frame.go      1 frames
//	loop.go       2 the event loop; poller*.go, the kernel's part of it
//	server.go     2 accepting connections
//	conn.go       2 one connection; now_linux.go, how it reads and writes
//	limits.go       what one client can use up
//	serve.go        Serve, ServeListener and their Config
//	worker.go     3 what a worker does; prefork.go, how it is started
//	supervise.go  4 the master; heartbeat.go, how it learns that one hangs
//	process.go    2 signals and output of a process among others
//	register.go   5 the registration; znodes.go, what its znode says
//	access.go       credentials
//	zksession.go  5 a session with ZooKeeper that is won back when it is lost
//	zkdial.go     5 its connections; addrs.go, what an address must be like
//	client.go     6 the client
//	options.go      what a program sets of it, and sees of its servers
//	errand.go     6 one call, at one server after the other
//	attempt.go    6 the call at one of them
//	balance.go      which server that is; window.go, how many calls it gets
//	aside.go        servers that get none for a while
//	remote.go     6 one server
//	pipe.go       6 the connection to it; silence.go, when it seems to hang
//	watch.go      6 the list of servers; static.go, a list that stays
//	call.go       6 the command call, and list.go, the command list
//	reuse.go        memory that is used again
//	command.go      a server's flags; args.go, zkflags.go, rounds.go, help.go
package rpc
