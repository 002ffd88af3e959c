// The command behind make zookeeper: it runs a private ZooKeeper in the
// foreground, on port 2181 where programs look for one, until Ctrl-C. With
// -find it only says where ZooKeeper is installed, or how to install it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/zkdev"
)

func main() {
	port := flag.Int("port", 2181, "port to listen on, on 127.0.0.1")
	find := flag.Bool("find", false,
		"don't run anything: print where ZooKeeper is installed, or how to install it and exit 1")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), `usage: zookeeper [-port 2181] [-find]

Runs a real ZooKeeper on 127.0.0.1 until Ctrl-C. Its data is temporary: every run starts empty.

`)
		flag.PrintDefaults()
	}

	flag.Parse()
	if flag.NArg() > 0 || *port < 1 || *port > 65535 {
		fmt.Fprintf(os.Stderr,
			"zookeeper: want a -port between 1 and 65535 and no other arguments; got -port %d %q\n", *port, flag.Args())
		os.Exit(2)
	}

	var err error
	if *find {
		err = printInstallation()
	} else {
		err = run(*port)
		proc.End()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "zookeeper:", err)
		os.Exit(1)
	}
}

func printInstallation() error {
	found, err := zkdev.Find()
	if err != nil {
		return err
	}
	fmt.Printf("ZooKeeper in %s, run by %s\n", found.Dir, found.Java)
	return nil
}

func run(port int) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	server, err := zkdev.StartOn(ctx, port)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d on 127.0.0.1 is in use, perhaps by a ZooKeeper that you can use as it is. "+
			"For another one choose another port: -port %d", port, port+1)
	case err != nil && ctx.Err() != nil:
		return nil // Ctrl-C before it served
	case err != nil:
		return err
	}

	fmt.Printf("ZooKeeper runs on %s (pid %d). Its data is temporary: every run starts empty.\n",
		server.Addr(), server.PID())
	if port == 2181 {
		fmt.Println("The workbook's programs look for it there, so they need no -zk.")
	} else {
		fmt.Printf("Point programs at it with -zk %s, or for a whole shell: export ZK_HOSTS=%s\n",
			server.Addr(), server.Addr())
	}
	fmt.Println("Ctrl-C ends it.")

	select {
	case <-server.Done():
		err = fmt.Errorf("ZooKeeper ended by itself; it said:\n%s", server.Output())
	case <-ctx.Done():
		cancel() // a second Ctrl-C ends this program, and with it ZooKeeper, at once
		fmt.Println("\nZooKeeper is stopping.")
	}
	return errors.Join(err, server.Stop())
}
